//! What snapshots and images there are, and how that differs from what there was.
