//! A session and its records: what each query leaves behind, and the wait for it where `on-overflow = "refuse"` asks for one.
//! Where it does not, nothing here waits; where queries leave no record, nothing here is done.

use crate::config;
use crate::event::{Queries, Receipt, Teller};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long an answer waits for its record.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a session's records say of it.
pub(super) struct Recording {
    pub(super) connection: u64,
    pub(super) source: Arc<str>,
    pub(super) client: Arc<str>,
    /// Of its admission; asked for before the first answer.
    pub(super) admitted: Option<Receipt>,
}

/// Whether answers may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Their records are where they have to be.
    Yes,
    /// They are not.
    No,
    /// That the client was let in is not; nothing can mend that.
    NeverAdmitted,
}

impl Recording {
    /// Where one turn's queries are gathered; `None` when they leave no records.
    pub(super) fn begin(&self, queries: config::Queries) -> Option<Queries> {
        queries.each().then(|| Queries {
            connection: self.connection,
            source: Arc::clone(&self.source),
            client: Arc::clone(&self.client),
            plain: queries == config::Queries::Plain,
            bytes: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Tells what was asked, and waits for its records where somebody has to.
    pub(super) async fn keep(&mut self, asked: Option<Queries>, teller: &Teller) -> Kept {
        let asked = asked.filter(|asked| !asked.ends.is_empty()).map(|asked| teller.tell_queries(asked));
        let admitted = self.admitted.take();
        if let Some(admitted) = admitted {
            if !in_time(admitted).await {
                return Kept::NeverAdmitted;
            }
        }
        match asked {
            Some(asked) => {
                if in_time(asked).await {
                    Kept::Yes
                } else {
                    Kept::No
                }
            }
            None => Kept::Yes,
        }
    }
}

async fn in_time(receipt: Receipt) -> bool {
    if receipt.is_ready() {
        return true;
    }
    timeout(PATIENCE, receipt.written()).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Listen};
    use std::future::{pending, ready};

    fn recording(admitted: Receipt) -> Recording {
        Recording { connection: 1, source: "s".into(), client: "c".into(), admitted: Some(admitted) }
    }

    #[tokio::test]
    async fn bounded_no_answer_waits_for_ever_for_its_record() {
        let teller = Teller::new(|_: Event| {});
        for (admitted, expected) in [
            (Receipt::READY, Kept::Yes),
            (Receipt::new(ready(true)), Kept::Yes),
            (Receipt::new(ready(false)), Kept::NeverAdmitted),
            (Receipt::new(pending()), Kept::NeverAdmitted),
        ] {
            assert_eq!(recording(admitted).keep(None, &teller).await, expected);
        }
    }

    /// Listens to queries, and cannot write them.
    struct Full;

    impl Listen for Full {
        fn hear(&self, _: Event) -> Receipt {
            Receipt::READY
        }

        fn hear_queries(&self, _: Queries) -> Receipt {
            Receipt::new(ready(false))
        }
    }

    #[tokio::test]
    async fn one_decision_one_record_queries_whose_records_are_not_written_get_no_answer() {
        let (teller, mut recording) = (Teller::new(Full), recording(Receipt::READY));
        let mut asked = recording.begin(config::Queries::Digest).unwrap();
        assert_eq!(recording.keep(Some(asked.clone()), &teller).await, Kept::Yes, "nothing was asked");
        asked.add(b"known", "exists");
        assert_eq!(recording.keep(Some(asked), &teller).await, Kept::No);
    }

    #[test]
    fn queries_leave_records_only_where_they_are_asked_for() {
        let recording = recording(Receipt::READY);
        assert!(recording.begin(config::Queries::None).is_none());
        assert!(recording.begin(config::Queries::Summary).is_none());
        assert!(!recording.begin(config::Queries::Digest).unwrap().plain);
        assert!(recording.begin(config::Queries::Plain).unwrap().plain);
    }
}
