//! Rule files and their load report, and the alerts that matches become.
