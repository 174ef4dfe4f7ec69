//! What one record gives, and what many rules share.

mod leaves;
mod plans;
mod rules;
mod steps;
