//! All that goes on with a forge while `serve` drives.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{accounts, show::Publisher};
use crate::house::House;

/// Goes on until it is told to stop; where there is no forge, nothing does.
pub async fn attend(house: Arc<House>, stop: CancellationToken) {
    let forge = match house.forge() {
        Ok(Some(forge)) => forge,
        Ok(None) => return stop.cancelled().await,
        Err(error) => {
            tracing::error!(
                "the forge cannot be asked, nor told anything, until this is mended and serve starts again: {error:#}"
            );
            return stop.cancelled().await;
        }
    };
    let url = house.settings.server.url.clone();
    let publisher = Publisher::new(Arc::clone(&house.ledger), Arc::clone(&forge), url);
    let people = accounts::keep(house.settings.clone(), forge, Arc::new(Notify::new()), stop.clone());
    tokio::join!(publisher.publish(stop), people);
}
