//! What many steps of a run ask in the same words, asked once.
//!
//! Every new container needs the id of each of its networks and what its image says. For a hundred services
//! these are the same few answers, and an engine has other work to do meanwhile.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

/// Answers to one kind of question, by the name that was asked about.
///
/// Who asks while the question is on its way waits for the same answer. A failure is no answer: those
/// who waited ask then for themselves, side by side, so that an engine that hangs holds up none of them
/// behind the others.
pub(super) struct Known<T>(Mutex<BTreeMap<String, Answer<T>>>);

/// An answer, once it is there; `None` where the question failed.
type Answer<T> = Arc<OnceCell<Option<T>>>;

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
        let answer = Arc::clone(self.all().entry(name.to_owned()).or_default());
        let mut ask = pin!(ask);
        let mut failure = None;
        let asked = async {
            let outcome = ask.as_mut().await;
            outcome.map_err(|error| failure = Some(error)).ok()
        };
        let known = answer.get_or_init(|| asked).await;
        match (known, failure) {
            (Some(known), _) => Ok(known.clone()),
            (None, Some(error)) => {
                let mut all = self.all();
                if all.get(name).is_some_and(|kept| Arc::ptr_eq(kept, &answer)) {
                    all.remove(name);
                }
                Err(error)
            }
            (None, None) => ask.await,
        }
    }

    /// Forgets all of them, with those that are still on their way: what they are about has changed.
    pub(super) fn forget(&self) {
        self.all().clear();
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Answer<T>>> {
        // Whoever panicked meanwhile has left a whole map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::sync::Barrier;

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
    }

    #[tokio::test]
    async fn after_a_failure_those_who_waited_ask_side_by_side() {
        let (known, meeting) = (Known::default(), &Barrier::new(2));
        let failing = known.or_ask("a", async {
            tokio::task::yield_now().await;
            Err(1)
        });
        // Each goes on only once the other one asks as well.
        let waiting = |answer| {
            known.or_ask("a", async move {
                meeting.wait().await;
                Ok::<i32, i32>(answer)
            })
        };
        let all = tokio::join!(failing, waiting(2), waiting(3));
        assert_eq!(all, (Err(1), Ok(2), Ok(3)));
        assert_eq!(known.or_ask("a", async { Ok::<_, i32>(4) }).await, Ok(4));
        assert_eq!(known.or_ask("a", async { Ok::<_, i32>(5) }).await, Ok(4));
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
