//! Chance that can be had again: a small generator (splitmix64) whose seed is told, and the lines that it writes.

use std::time::SystemTime;

pub struct Chance(u64);

/// `LINEKEEP_SEED`, or a new one.
pub fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    super::number("LINEKEEP_SEED", now.as_secs() << 20 | u64::from(now.subsec_micros()))
}

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub fn one_of<T: Clone>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())].clone()
    }

    /// One of few lines, so that they come, go and come again; many are the beginning of others.
    pub fn line(&mut self) -> Vec<u8> {
        format!("line-{}", self.below(150)).into_bytes()
    }

    fn line_end(&mut self) -> &'static [u8] {
        if self.one_in(8) { b"\r\n" } else { b"\n" }
    }

    pub fn whole_line(&mut self) -> Vec<u8> {
        let mut line = if self.one_in(30) { Vec::new() } else { self.line() };
        line.extend(self.line_end());
        line
    }

    /// So many lines, at least one that can be asked; the last one sometimes without its newline.
    pub fn lines(&mut self, count: usize) -> Vec<u8> {
        let mut content: Vec<u8> = (0..count).flat_map(|_| self.whole_line()).collect();
        content.extend(self.line());
        if !self.one_in(4) {
            content.extend(self.line_end());
        }
        content
    }
}
