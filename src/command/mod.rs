//! What the three programs do with their arguments. The programs themselves hold only the list of their commands.

pub mod lookup;
