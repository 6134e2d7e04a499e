//! The daemon.

fn main() -> std::process::ExitCode {
    linekeep::command::daemon::main()
}
