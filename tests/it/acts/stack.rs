//! Stacks on this machine: their deployments keep the contract, and each standing is seen.

use std::{fs, sync::Arc};

use tidegate::providers::{
    act::{Act, ActState},
    image_builder::{BuildRequest, BuildState},
    local_service::{DeployHandle, LocalStacks},
    targets::{Stands, TargetPlace, Targets as _},
};

use super::contract::{self, Outside, ended};
use crate::{
    local_image_builder::{Workshop, request},
    local_service::deployment,
    local_support::TIDEGATE,
    support::sandbox::sandbox,
};

struct Machine {
    workshop: Workshop,
    stacks: LocalStacks,
    image: String,
}

fn place() -> TargetPlace {
    TargetPlace { system: "shop".to_owned(), target: "shop".to_owned(), stage: "dev".to_owned() }
}

impl Machine {
    async fn new() -> Self {
        let workshop = Workshop::new();
        let software = workshop.software(&[("VERSION", 0o644, "1")]).await;
        let bake = BuildRequest { software: vec![software], ..request("bake-1", "{schemaVersion: 1.0, phases: []}") };
        let status = workshop.built(&bake).await;
        let BuildState::Available { images, .. } = status.state else { panic!("{status:?}") };
        let image = images["eu-central-1"].clone();
        let stacks = LocalStacks {
            environments: workshop.arena.path().join("environments"),
            objects: Arc::new(workshop.objects.clone()),
            sandbox: sandbox(),
        };
        Self { workshop, stacks, image }
    }

    fn deploys(&self, key: &str, command: &[&str]) -> Box<dyn Act> {
        self.deploys_over(key, command, &self.serving())
    }

    /// What serves now, as a look sees it.
    fn serving(&self) -> String {
        let current = self.workshop.arena.path().join("environments/shop/shop@dev/current.json");
        let current = fs::read(current).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
        current.and_then(|current| Some(current["deployment"].as_str()?.to_owned())).unwrap_or_default()
    }

    fn deploys_over(&self, key: &str, command: &[&str], seen: &str) -> Box<dyn Act> {
        let deployment = deployment(key, &self.image, command);
        self.stacks.deploy(
            &place(),
            tidegate::providers::local_service::Deployment { key: key.to_owned(), ..deployment },
            seen,
        )
    }

    async fn stands(&self, ours: &[String]) -> Stands {
        self.stacks.look(&place(), ours).await.unwrap().stands
    }
}

impl Outside for Machine {
    async fn act(&self, key: &str, other: bool) -> Box<dyn Act> {
        let version = "opt/webshop/VERSION";
        let command: &[&str] = if other { &["sleep", "7"] } else { &[TIDEGATE, "demo-service", version] };
        self.deploys(key, command)
    }

    async fn endless(&self, key: &str) -> Box<dyn Act> {
        // It never answers.
        self.deploys(key, &["sleep", "1000"])
    }

    async fn effects(&self, key: &str) -> usize {
        let serving = self.stacks.environment(&place()).status().await.unwrap().unwrap();
        usize::from(serving.current.key == key && serving.is_running)
    }

    async fn forget(&self, handle: &str) {
        self.stacks.environment(&place()).stop().await.unwrap();
        fs::remove_dir_all(self.workshop.arena.path().join("environments/shop/shop@dev/releases").join(handle))
            .unwrap();
    }

    async fn end_outside(&self, handle: &str) {
        self.stacks.environment(&place()).cancel(&DeployHandle(handle.to_owned())).await.unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        crate::local_support::end_all_of(self.workshop.arena.path());
    }
}

#[tokio::test]
async fn a_deployment_keeps_the_contract() {
    let machine = Machine::new().await;
    contract::kept_by(&machine).await;
}

#[tokio::test]
async fn a_stack_is_made_empty_moves_gets_stuck_recovers_and_is_deleted() {
    let machine = Machine::new().await;
    assert_eq!(machine.stands(&[]).await, Stands::Absent);
    machine.stacks.create_empty(&place()).start().await.unwrap();
    assert_eq!(machine.stands(&[]).await, Stands::Stable);

    let key = "shop/deliver-1.19ac/deploy/update";
    let endless = machine.endless(key).await;
    let handle = endless.start().await.unwrap();
    assert_eq!(machine.stands(&[key.to_owned()]).await, Stands::Stable, "it is ours");
    assert_eq!(machine.stands(&[]).await, Stands::Moving(format!("the deployment {handle} begins"), None));
    machine.stacks.cancel_update(&place(), vec![key.to_owned()]).start().await.unwrap();
    assert!(matches!(machine.stands(&[]).await, Stands::Moving(..)), "what is ours is not cancelled");
    machine.stacks.cancel_update(&place(), Vec::new()).start().await.unwrap();
    assert_eq!(machine.stands(&[]).await, Stands::Stable);

    let act = machine.act("shop/deliver-2.19ac/deploy/update", false).await;
    let handle = act.start().await.unwrap();
    assert!(matches!(ended(&*act, &handle).await, ActState::Done(..)));
    let sight = machine.stacks.look(&place(), &[]).await.unwrap();
    assert_eq!(
        (sight.saw["image"].as_str(), sight.saw["deployment"].as_str()),
        (Some(&*machine.image), Some(&*handle))
    );

    let records = machine.workshop.arena.path().join("environments/shop/shop@dev/current.json");
    fs::write(&records, "{").unwrap();
    let Stands::Stuck(why, way_out) = machine.stands(&[]).await else { panic!() };
    assert!(why.contains("current.json") && way_out.contains("tidegate target recover"), "{why}: {way_out}");
    machine.stacks.recover(&place()).start().await.unwrap();
    assert_eq!(machine.stands(&[]).await, Stands::Stable);
    machine.stacks.delete(&place()).start().await.unwrap();
    machine.stacks.delete(&place()).start().await.unwrap();
    assert_eq!(machine.stands(&[]).await, Stands::Absent);
}

#[tokio::test]
async fn what_another_hand_deployed_since_the_look_is_not_overwritten() {
    let machine = Machine::new().await;
    let service = [TIDEGATE, "demo-service", "opt/webshop/VERSION"];
    let ours = machine.deploys_over("shop/deliver-1.19ac/deploy/create", &service, "");
    let other = machine.act("other/deliver-1.19ac/deploy/create", false).await;
    let handle = other.start().await.unwrap();
    assert!(matches!(ended(&*other, &handle).await, ActState::Done(..)));
    let fault = ours.start().await.unwrap_err();
    assert!(fault.to_string().contains("was not there when it was looked at"), "{fault}");
    assert_eq!(machine.serving(), handle);
    let again = machine.deploys_over("shop/deliver-1.19ac/deploy/create/2", &service, &handle);
    let handle = again.start().await.unwrap();
    assert!(matches!(ended(&*again, &handle).await, ActState::Done(..)));
}
