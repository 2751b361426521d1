//! What many steps of a run ask in the same words, asked once.
//!
//! Every new container needs the id of each of its networks and what its image says. For a hundred services
//! these are the same few answers, and an engine has other work to do meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// Answers to one kind of question, by the name that was asked about.
///
/// Who asks while the question is on its way waits for the same answer. A failure is nobody's answer:
/// the next one asks again.
pub(super) struct Known<T>(Mutex<BTreeMap<String, Arc<OnceCell<T>>>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Known<T> {
    /// The answer about a name: the one that is known, or what `ask` gets, which does
    /// nothing where one is known.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub(super) async fn or_ask<E>(
        &self,
        name: &str,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let answer = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(name.to_owned()).or_default())
        };
        answer.get_or_try_init(|| ask).await.cloned()
    }

    /// Forgets all of them, with those that are still on their way: what they are about has changed.
    pub(super) fn forget(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn those_who_ask_at_once_share_an_answer() {
        let (known, asked) = (Known::default(), Cell::new(0));
        let ask = || {
            known.or_ask("a", async {
                asked.set(asked.get() + 1);
                tokio::task::yield_now().await;
                Ok::<_, ()>(asked.get())
            })
        };
        assert_eq!(tokio::join!(ask(), ask()), (Ok(1), Ok(1)));
        assert_eq!(ask().await, Ok(1));
        assert_eq!(known.or_ask("b", async { Err(5) }).await, Err(5));
        assert_eq!(known.or_ask("b", async { Ok::<_, i32>(6) }).await, Ok(6));
    }

    #[tokio::test]
    async fn an_answer_that_was_on_its_way_is_forgotten_as_well() {
        let known = Known::default();
        let late = known.or_ask("a", async {
            known.forget();
            Ok::<_, ()>(1)
        });
        assert_eq!(late.await, Ok(1));
        assert_eq!(known.or_ask("a", async { Ok::<_, ()>(2) }).await, Ok(2));
    }
}
