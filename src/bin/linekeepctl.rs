//! The administrator's program.

fn main() -> std::process::ExitCode {
    linekeep::command::control::main()
}
