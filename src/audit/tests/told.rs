//! What one sink misses or says reaches the others, to the end.

use crate::audit::sink::Sink;
use crate::audit::*;
use crate::event::Severity;
use std::sync::Mutex;

/// The lines of a sink that takes everything.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<String>>>);

impl Sink for Page {
    fn write(&mut self, record: &Record) -> Vec<Event> {
        self.0.lock().unwrap().push(record.line.clone());
        Vec::new()
    }
}

impl Page {
    fn has(&self, words: &str) -> bool {
        self.0.lock().unwrap().iter().any(|line| line.contains(words))
    }
}

/// A writer to a page and to a syslog that is not there.
fn writer(page: &Page) -> Writer {
    let gone = Local::<Syslog>::new(std::path::Path::new("/nowhere/log"));
    Writer {
        sinks: vec![Box::new(page.clone()), Box::new(gone)],
        restraint: Restraint::default(),
        level: Severity::Info,
        trail: None,
        key: None,
        tick: LOSS_INTERVAL,
        known: Arc::default(),
        metrics: Arc::default(),
    }
}

#[test]
fn one_decision_one_record_who_is_gone_when_news_are_told_is_news_too() {
    let page = Page::default();
    let mut writer = writer(&page);
    writer.tell_all(vec![Event::SinkFailed { sink: "forward:far", error: "refused".into() }]);
    assert!(page.has("sink=forward:far") && page.has("sink=syslog"), "{:?}", page.0);
}

#[test]
fn one_decision_one_record_what_a_daemon_never_took_is_told_to_the_others_at_the_stop() {
    let page = Page::default();
    let mut writer = writer(&page);
    let event = Event::Stopped { cut_connections: 0 };
    assert!(writer.write(&event, SystemTime::now()));
    writer.close_sinks();
    let counted = writer.metrics.records_lost.value();
    assert!(page.has("event=stopped") && page.has(&format!("sink=syslog count={counted}")), "{:?}", page.0);
    assert!(counted > 0);
}
