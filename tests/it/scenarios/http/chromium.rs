//! What people do in a browser, in a real one as large as a phone.

use super::{
    browser::{wait_until_it_listens, with_issuers},
    connect::github,
    provider::Provider,
};
use crate::{scenarios::delivery::Delivery, support::chromium::with_a_browser};

#[test]
fn github_is_connected_and_signs_people_in() {
    with_a_browser(|browser| {
        let github = github();
        let mut delivery = Delivery::by_hand();
        let host = with_issuers(&delivery, "");
        let text = std::fs::read_to_string(delivery.config()).unwrap();
        let known = text.replace("[people.grace]\n", "[people.grace]\ngithub = \"grace-h\"\n");
        std::fs::write(delivery.config(), known).unwrap();
        delivery.serve();
        browser.goto(&delivery.link());
        browser.press("Connect GitHub");
        browser.sees("The address of GitHub");
        browser.picture("connect-asks");
        browser.fill("organization", "acme");
        browser.fill("url", &github.url());
        browser.press("Go on");
        let text = browser.sees("Make the App at GitHub");
        assert!(text.contains("the organization acme") && text.contains("contents: write"), "{text}");
        assert!(browser.fits(), "it is read on a phone");
        browser.picture("connect-offer");
        browser.press("Make the App at GitHub");
        browser.press("Create GitHub App Tidegate acme for acme");
        let text = browser.sees("GitHub has made the App");
        assert!(text.contains("Install tidegate-acme") && text.contains("people sign in by GitHub"), "{text}");
        browser.picture("connected");
        browser.press("Install it");
        browser.press("Install tidegate-acme for acme");
        browser.sees("It is installed");
        assert_eq!(github.state().installations.len(), 1);

        delivery.stop();
        delivery.serve();
        wait_until_it_listens(&host);
        browser.goto(&format!("http://{host}/"));
        browser.press("Sign in with GitHub");
        browser.press("Authorize as grace-h");
        browser.sees("You have signed in as grace");
        browser.picture("signed-in");
        browser.press("Sign out");
        browser.sees("Choose who knows you");
    });
}

#[test]
fn a_provider_that_nobody_here_wrote_signs_people_in_there() {
    with_a_browser(|browser| {
        let Some(provider) = Provider::start() else { return };
        let mut delivery = Delivery::by_hand();
        let host = with_issuers(&delivery, &provider.settings());
        delivery.serve();
        browser.goto(&format!("http://{host}/"));
        browser.press("Sign in with mock");
        browser.fill("sub", "grace");
        browser.press("Authorize");
        browser.sees("You have signed in as grace");
        assert!(browser.fits());
        browser.press("Sign out");
        browser.sees("Choose who knows you");
    });
}
