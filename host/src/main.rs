//! The program `batchtask`: see [`batchtask::cli`].

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match batchtask::cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("batchtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
