//! The client.

fn main() -> std::process::ExitCode {
    linekeep::command::lookup::main()
}
