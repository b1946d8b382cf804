//! Pseudo-random choices that can be made again: a seed and the number of a stream give the same choices everywhere and always.

/// A stream of choices (splitmix64). Every case of a campaign has a stream of its own, so that it can be made without those before it.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The stream of that number under a seed.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self {
            state: seed ^ stream.wrapping_mul(0xd605_1bd7_4b9f_a24d),
        };
        // Neighbouring streams begin far apart.
        dice.state = dice.roll() ^ stream;
        dice
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit; 0 when the limit is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.roll() % limit).unwrap_or(0)
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of the entries, or `None` when there is none.
    pub fn pick<'a, T>(&mut self, entries: &'a [T]) -> Option<&'a T> {
        let index = self.below(entries.len());
        entries.get(index)
    }

    /// So many bytes, for a generator's tape.
    pub fn tape(&mut self, bytes: usize) -> Vec<u8> {
        let mut tape = Vec::with_capacity(bytes + 8);
        while tape.len() < bytes {
            tape.extend_from_slice(&self.roll().to_le_bytes());
        }
        tape.truncate(bytes);
        tape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_can_be_rolled_again_and_its_neighbour_differs() {
        let rolls = |stream| -> Vec<usize> {
            let mut dice = Dice::new(7, stream);
            (0..20).map(|_| dice.below(1000)).collect()
        };
        assert_eq!(rolls(3), rolls(3));
        assert_ne!(rolls(3), rolls(4));
        assert!(rolls(5).iter().any(|roll| *roll > 500) && rolls(5).iter().any(|roll| *roll < 500));
        assert_eq!(Dice::new(1, 1).tape(13).len(), 13);
    }
}
