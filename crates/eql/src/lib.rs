//! EQL: text to syntax tree to plan, with diagnostics and lints.
