//! The program `batchtask`: see [`batchtask`].

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    batchtask::run().await
}
