//! Named lists.
