//! Inputs and the pipeline that runs rules over them.
