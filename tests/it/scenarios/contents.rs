//! What a tree says and does not hold, through the whole program: a step refuses it by name, and fetches it where its rule says so.

use sha2::{Digest as _, Sha256};
use tidegate::engine::RunState;

use super::{delivery::Delivery, json};

#[test]
fn git_lfs_pointers_are_refused_by_name_until_the_rules_say_what_becomes_of_them() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let content = "a large model\n";
    let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let store = delivery.root().join("repositories/software.git/lfs/objects").join(&digest[..2]).join(&digest[2..4]);
    std::fs::create_dir_all(&store).unwrap();
    std::fs::write(store.join(&digest), content).unwrap();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n", content.len());
    let pushed = delivery.software.commit("dev", "Add a model", &[("models/large.bin", &pointer)]);
    let refused = delivery.ended_on("package", &pushed);
    assert_eq!(refused.state, RunState::Failed);
    let reason = refused.reason.unwrap();
    assert!(reason.contains("Git LFS pointers") && reason.contains("models/large.bin"), "{reason}");
    assert!(delivery.status().contains("write `lfs: fetch` in this step"), "{}", delivery.status());

    let rules = delivery.rules();
    let fetching = rules.replace("exclude: [docs/] }", "exclude: [docs/], lfs: fetch }");
    assert_ne!(fetching, rules);
    delivery.write_rules(&fetching);
    delivery.wait("the new rules", |state| {
        let package = state.rules()?.rules.values().next()?.steps.first()?;
        format!("{package:?}").contains("Fetch").then_some(())
    });
    delivery.granted(&["run", "start", "package", "--stage", "dev", "--as", "grace"]);
    delivery.done("package", "dev");
    let pins = json(&delivery.image.read("dev", "config.json"));
    let archive = pins["software"]["uri"].as_str().unwrap().trim_start_matches("file://").to_owned();
    let unpacked = flate2::read::GzDecoder::new(std::fs::File::open(archive).unwrap());
    let mut archive = tar::Archive::new(unpacked);
    let mut files = archive.entries().unwrap().map(Result::unwrap);
    let mut model = files.find(|file| file.path().unwrap().ends_with("models/large.bin")).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut model, &mut text).unwrap();
    assert_eq!(text, content);
}
