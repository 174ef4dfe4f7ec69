//! The step matches of a chunk, by the shard of the operators that they go to where these run on several threads.

use neph_engine::{Operators, StepMatch};

/// Step matches with their place in the chunk, which brings what they lead to into order again.
pub(crate) type Numbered = Vec<(u32, StepMatch)>;

/// The step matches of a chunk.
#[derive(Default)]
pub(crate) struct Steps {
    /// All, in their order, if they are not apart.
    together: Vec<StepMatch>,
    shards: Vec<Numbered>,
    number: u32,
}

/// How many there are of each shard; one number where they are together.
#[derive(Clone, Debug)]
pub(crate) struct Room(Vec<usize>);

impl Room {
    /// None, in one list or in one for each shard.
    pub(crate) fn none(apart: bool) -> Self {
        Self(vec![0; if apart { Operators::SHARDS } else { 1 }])
    }

    pub(crate) fn take(&mut self, steps: &Steps) {
        match self.0.as_mut_slice() {
            [room] => *room = steps.together.len(),
            rooms => {
                for (room, steps) in rooms.iter_mut().zip(&steps.shards) {
                    *room = steps.len();
                }
            }
        }
    }
}

impl Steps {
    /// With room for so many.
    pub(crate) fn with_room(room: &Room) -> Self {
        match room.0.as_slice() {
            [room] => Self {
                together: Vec::with_capacity(*room),
                ..Self::default()
            },
            rooms => Self {
                shards: rooms.iter().map(|room| Vec::with_capacity(*room)).collect(),
                ..Self::default()
            },
        }
    }

    pub(crate) fn push(&mut self, step: StepMatch) {
        match self.shards.get_mut(Operators::shard_of(step.rule)) {
            Some(steps) => {
                steps.push((self.number, step));
                self.number += 1;
            }
            None => self.together.push(step),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &StepMatch> {
        let apart = self.shards.iter().flatten().map(|(_, step)| step);
        self.together.iter().chain(apart)
    }

    /// Takes those out that `wanted` wants; those of one rule stay in the order in which they came.
    pub(crate) fn extract(&mut self, wanted: impl Fn(&StepMatch) -> bool) -> Vec<StepMatch> {
        let mut taken: Vec<StepMatch> = self.together.extract_if(.., |step| wanted(step)).collect();
        for steps in &mut self.shards {
            taken.extend(
                steps
                    .extract_if(.., |(_, step)| wanted(step))
                    .map(|(_, step)| step),
            );
        }
        taken
    }

    /// All in their order, or how many there are and those of each shard.
    pub(crate) fn parts(self) -> Result<Vec<StepMatch>, (usize, Vec<Numbered>)> {
        match self.shards.is_empty() {
            true => Ok(self.together),
            false => Err((self.number as usize, self.shards)),
        }
    }
}
