//! Points in time as ISO 8601 text, which tasks carry.

use std::time::Duration;

/// The time since 1970 as UTC with milliseconds, for example `2025-11-25T10:30:00.000Z`.
pub(crate) fn iso_8601(since_1970: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let seconds = since_1970.as_secs();
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let milliseconds = since_1970.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The date that lies as many days after 1970-01-01: years are counted from March on, so that the leap day is the last
/// day of a year, and in eras of 400 years, all of which are equally long.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    const UNTIL_1970: u64 = 719_468;
    let days = days + UNTIL_1970;
    let day_of_era = days % ERA;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = days / ERA * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leap_days_and_ends_of_years_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_764_066_600, "2025-11-25T10:30:00.000Z"),
        ] {
            assert_eq!(iso_8601(Duration::from_secs(seconds)), text);
        }
        assert_eq!(iso_8601(Duration::from_millis(7)), "1970-01-01T00:00:00.007Z");
    }
}
