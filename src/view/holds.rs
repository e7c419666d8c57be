//! What keeps things from moving in a system: its pause and freezes, the windows of its promotions, pinned stages and vetoes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::{Decided, HoldStatus, VersionsStatus, VetoStatus};
use crate::{
    engine::{System, plan::holidays},
    rules::{Promotion, Rules, StageName, SystemName, Window},
};

/// What is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldsTold {
    /// The system.
    pub system: SystemName,
    /// The pause and the freezes.
    pub holds: Vec<HoldStatus>,
    /// The windows in which promotions may merge.
    pub windows: Vec<WindowTold>,
    /// The stages that stay at one version.
    pub pins: Vec<PinTold>,
    /// What never moves again.
    pub vetoes: Vec<VetoStatus>,
}

/// The window of a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowTold {
    /// The stage that is promoted from.
    pub from: StageName,
    /// The stage that is promoted into.
    pub to: StageName,
    /// As the rules write it.
    pub window: String,
    /// Whether days of a calendar keep it shut.
    pub has_holidays: bool,
    /// Whether it is open now.
    pub open: bool,
    /// When it opens, where it is shut: milliseconds since 1970, UTC; absent where it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_ms: Option<i64>,
}

/// A stage that stays at one version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PinTold {
    /// The stage.
    pub stage: StageName,
    /// At which version, who decided it, and why.
    #[serde(flatten)]
    pub decided: Decided,
}

impl HoldsTold {
    /// What is held at a moment: milliseconds since 1970, UTC.
    #[must_use]
    pub fn of(system: &SystemName, state: &System, now_ms: i64) -> Self {
        let rules = state.rules().map(|rules| Rules::clone(rules));
        let stages: Vec<StageName> = rules.iter().flat_map(|rules| rules.stages.keys().cloned()).collect();
        let VersionsStatus { stages: versions, vetoes } = VersionsStatus::of(state, &stages);
        let pins = stages.into_iter().zip(versions).filter_map(|(stage, versions)| {
            let decided = versions.pinned?;
            Some(PinTold { stage, decided })
        });
        let windows = rules
            .iter()
            .flat_map(|rules| rules.promotions.iter().filter_map(|promotion| WindowTold::of(rules, promotion, now_ms)));
        Self {
            system: system.clone(),
            holds: HoldStatus::all(state),
            windows: windows.collect(),
            pins: pins.collect(),
            vetoes,
        }
    }
}

impl WindowTold {
    fn of(rules: &Rules, promotion: &Promotion, now_ms: i64) -> Option<Self> {
        let text = promotion.requires.window.as_ref()?;
        let days = holidays(rules, &promotion.requires);
        let has_holidays = !days.is_empty();
        let window = text.parse::<Window>().ok().map(|window| window.except(days));
        let open = window.as_ref().is_some_and(|window| window.contains(now_ms));
        let opens_ms = window.filter(|_| !open).and_then(|window| window.next_opening(now_ms));
        let (from, to) = (promotion.from.clone(), promotion.to.clone());
        Some(Self { from, to, window: text.clone(), has_holidays, open, opens_ms })
    }
}
