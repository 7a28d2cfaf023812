//! The program `batchtask`. See [`batchtask`].

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    batchtask::run().await
}
