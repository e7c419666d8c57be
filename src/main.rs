//! The `tidegate` program: arguments to [`tidegate::cli`].

use std::path::Path;

use anyhow::{Context, bail};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["image-builder-worker", job] => Ok(tidegate::providers::image_builder::run_worker(Path::new(job)).await?),
        ["demo-service", version_file] => {
            let port = std::env::var("PORT").context("PORT is not set")?.parse().context("PORT is no port")?;
            Ok(tidegate::cli::demo_service::serve(port, Path::new(version_file)).await?)
        }
        _ => bail!("unknown arguments: {arguments:?}"),
    }
}
