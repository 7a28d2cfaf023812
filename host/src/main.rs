//! The program `batchtask`: see [`batchtask::cli`].

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    batchtask::cli::run().await
}
