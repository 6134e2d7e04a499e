//! What is stored of a fingerprint: the bits below those that its slot implies, in one of two widths.

/// One stored fingerprint.
pub(super) trait Entry: Copy + Default + PartialEq + Send + Sync {
    /// Of a fingerprint whose slot bits were shifted out at the top.
    fn of(rest: u128) -> Self;

    /// The first 64 bits: enough to tell all but the rarest entries of a slot apart.
    fn high(self) -> u64;

    /// All bits, in the order that entries are sorted by.
    fn whole(self) -> u128;
}

/// Every bit: for lists too short for a directory that implies many.
pub(super) type Wide = u128;

/// 96 bits in 12 bytes, the low half of the first 64 before their high half.
pub(super) type Narrow = [u32; 3];

impl Entry for Wide {
    #[inline]
    fn of(rest: u128) -> Wide {
        rest
    }

    #[inline]
    fn high(self) -> u64 {
        (self >> 64) as u64
    }

    #[inline]
    fn whole(self) -> u128 {
        self
    }
}

impl Entry for Narrow {
    #[inline]
    fn of(rest: u128) -> Narrow {
        [(rest >> 64 & 0xFFFF_FFFF) as u32, (rest >> 96) as u32, (rest >> 32 & 0xFFFF_FFFF) as u32]
    }

    #[inline]
    fn high(self) -> u64 {
        let [low, high, _] = self;
        u64::from(high) << 32 | u64::from(low)
    }

    #[inline]
    fn whole(self) -> u128 {
        u128::from(self.high()) << 32 | u128::from(self[2])
    }
}
