//! What the store is asked to survive: power cuts, kills, full and failing disks.

mod damage;
mod full;
mod kill;
mod load;
mod power;
