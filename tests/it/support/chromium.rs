//! A real browser: Chromium without a window, driven over WebDriver.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

/// How long a page may take to come. It takes a moment.
const DEADLINE: Duration = Duration::from_secs(60);
/// As wide and high as a phone.
const PHONE: (u32, u32) = (390, 844);

pub(crate) struct Chromium {
    runtime: Runtime,
    driver: Child,
    client: Client,
    _profile: tempfile::TempDir,
}

/// Opens a browser as large as a phone, and does something with it; nothing where there is none, which is said.
pub(crate) fn with_a_browser(story: impl FnOnce(&Chromium)) {
    let program = |name: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
    };
    let (Some(driver), Some(browser)) = (program("chromedriver"), program("chromium")) else {
        println!("left out: there is no chromium with its chromedriver, which scripts/test installs");
        return;
    };
    let chromium = Chromium::start(&driver, &browser);
    story(&chromium);
    chromium.runtime.block_on(chromium.client.clone().close()).unwrap();
}

impl Chromium {
    fn start(driver: &Path, browser: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(driver);
        driver.arg("--port=0").env("HOME", profile.path()).stdin(Stdio::null()).stderr(Stdio::null());
        let mut driver = driver.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("was started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        std::thread::spawn(move || lines.for_each(drop));
        let port = port.expect("chromedriver says where it listens");
        let (width, height) = PHONE;
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-proxy-server".to_owned(),
            format!("--user-data-dir={}", profile.path().join("profile").display()),
        ];
        let phone = json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 2.0, "mobile": true } });
        let options = json!({ "args": arguments, "binary": browser, "mobileEmulation": phone });
        let capabilities = json!({ "goog:chromeOptions": options });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(builder.connect(&format!("http://127.0.0.1:{port}")));
        let client = client.unwrap_or_else(|error| panic!("chromium does not start: {error}"));
        Self { runtime, driver, client, _profile: profile }
    }

    /// Goes somewhere.
    pub(crate) fn goto(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).unwrap();
    }

    /// Waits for a page that says this, and returns its text.
    pub(crate) fn sees(&self, what: &str) -> String {
        let ends = Instant::now() + DEADLINE;
        loop {
            // A page that goes away meanwhile is not the one.
            let text = self.runtime.block_on(async {
                let body = self.client.wait().at_most(DEADLINE).for_element(Locator::Css("body")).await.unwrap();
                body.text().await.unwrap_or_default()
            });
            if text.contains(what) {
                return text;
            }
            assert!(Instant::now() < ends, "waited in vain for {what}; there is {text}");
        }
    }

    /// Presses a button or follows a link by what it says.
    pub(crate) fn press(&self, says: &str) {
        let path = format!("//*[self::button or self::a][contains(normalize-space(.), \"{says}\")]");
        self.runtime.block_on(async {
            let there = self.client.wait().at_most(DEADLINE).for_element(Locator::XPath(&path)).await;
            there.unwrap_or_else(|error| panic!("{says}: {error}")).click().await.unwrap();
        });
    }

    /// Writes into a field.
    pub(crate) fn fill(&self, name: &str, text: &str) {
        let path = format!("input[name=\"{name}\"]");
        self.runtime.block_on(async {
            let field = self.client.wait().at_most(DEADLINE).for_element(Locator::Css(&path)).await.unwrap();
            field.clear().await.unwrap();
            field.send_keys(text).await.unwrap();
        });
    }

    /// Whether all of the page can be read without moving it to the side.
    pub(crate) fn fits(&self) -> bool {
        let wide = "return document.documentElement.scrollWidth <= window.innerWidth";
        self.runtime.block_on(self.client.execute(wide, Vec::new())).unwrap() == json!(true)
    }

    /// Keeps a picture of the page where `TIDEGATE_SCREENSHOTS` names a folder.
    pub(crate) fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("TIDEGATE_SCREENSHOTS").map(PathBuf::from) {
            let picture = self.runtime.block_on(self.client.screenshot()).unwrap();
            std::fs::write(folder.join(name).with_extension("png"), picture).unwrap();
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The session was closed; a test that failed leaves it to its end.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
