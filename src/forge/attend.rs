//! All that goes on with a forge while `serve` drives.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    accounts,
    deliveries::{self, Wakes},
    lost::recover,
    show::Publisher,
};
use crate::house::{House, current::Current};

/// Goes on until it is told to stop. What is delivered is attended to though there is no forge yet: settings are read anew.
pub async fn attend(house: Arc<House>, wakes: Wakes, stop: CancellationToken) {
    let told = tell_and_ask(Arc::clone(&house), wakes.clone(), stop.clone());
    tokio::join!(told, deliveries::attend(house, wakes, stop));
}

/// Tells the forge what it should show, and asks it who people are; where there is no forge, nothing is done.
async fn tell_and_ask(house: Arc<House>, wakes: Wakes, stop: CancellationToken) {
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
    let people = accounts::keep(Current::new(Arc::clone(&house)), Arc::clone(&forge), wakes.people, stop.clone());
    let lost = async {
        if house.settings.takes_webhooks() {
            recover(Arc::clone(house.ledger.store()), forge, stop.clone()).await;
        }
    };
    tokio::join!(publisher.publish(stop.clone()), people, lost);
}
