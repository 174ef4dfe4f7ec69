//! The step matches of a chunk, by the shard of the operators that they go to.

use neph_engine::{Operators, StepMatch};

/// Step matches with their place in the chunk, which brings what they lead to into order again.
pub(crate) type Numbered = Vec<(u32, StepMatch)>;

/// The step matches of a chunk.
#[derive(Default)]
pub(crate) struct Steps {
    shards: Vec<Numbered>,
    number: u32,
}

impl Steps {
    /// With room for so many of each shard.
    pub(crate) fn with_room(room: &[usize]) -> Self {
        Self {
            shards: room.iter().map(|room| Vec::with_capacity(*room)).collect(),
            number: 0,
        }
    }

    /// How many there are of each shard.
    pub(crate) fn by_shard(&self) -> impl Iterator<Item = usize> {
        self.shards.iter().map(Vec::len)
    }

    pub(crate) fn push(&mut self, step: StepMatch) {
        let shard = Operators::shard_of(step.rule);
        if self.shards.len() <= shard {
            self.shards.resize_with(shard + 1, Vec::new);
        }
        if let Some(steps) = self.shards.get_mut(shard) {
            steps.push((self.number, step));
            self.number += 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.number as usize
    }

    /// Those of one rule stand in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &StepMatch> {
        self.shards.iter().flatten().map(|(_, step)| step)
    }

    /// Takes those out that `wanted` wants; those of one rule stay in the order in which they came.
    pub(crate) fn extract(&mut self, wanted: impl Fn(&StepMatch) -> bool) -> Vec<StepMatch> {
        let mut taken = Vec::new();
        for steps in &mut self.shards {
            taken.extend(
                steps
                    .extract_if(.., |(_, step)| wanted(step))
                    .map(|(_, step)| step),
            );
        }
        taken
    }

    /// For each of so many shards what it is to take.
    pub(crate) fn into_shards(mut self, shards: usize) -> Vec<Numbered> {
        self.shards.resize_with(shards, Vec::new);
        self.shards
    }
}
