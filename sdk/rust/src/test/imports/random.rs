//! Numbers that look like chance, and are the same each time.

use crate::test::world::open;

pub(crate) fn get_random_bytes(count: u64) -> Vec<u8> {
    (0..count).map(|_| get_random_u64() as u8).collect()
}

/// SplitMix64.
pub(crate) fn get_random_u64() -> u64 {
    let world = open("random").unwrap_or_else(|error| panic!("{error}: in a village the turn ends here"));
    let mut world = world.borrow_mut();
    world.seed = world.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = world.seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
