//! A bug of Touchstone in one case must not take the rest of the run with it: it is caught, told as a bug, and never counted as a verdict.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// What the work came to, or the words of the panic that ended it. What it worked on must not be used any more then.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.map_err(|panic| words(panic.as_ref()))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_words_and_everything_else_goes_through() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert_eq!(caught(async { 7 }).await, Ok(7));
            let broken = caught(async {
                tokio::task::yield_now().await;
                assert_eq!(1 + 1, 3, "sums");
            });
            assert!(broken.await.unwrap_err().contains("sums"));
        });
    }
}
