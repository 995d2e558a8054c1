//! Weights of bytes for AVX2, whose sum of two products of bytes is an int16: as many of these as cannot leave int16, whatever the
//! activations are, are added there before they go to int32. Most weights are far from the largest.

use super::matrix::Weights;

/// Outputs that are computed together.
pub(crate) const LANES: usize = 8;
/// Sums that are added in int16 at most.
pub(crate) const MOST: usize = 4;
/// What the weights may add to, of one sign: times 255 it is an int16.
const ROOM: i32 = 128;

/// One layer's weights, in chains for each [`LANES`] outputs.
#[derive(Clone, Debug)]
pub(crate) struct Chains {
    /// Which four inputs, `[outputs / LANES][inputs / 4]`: those of the longest chains first.
    pub inputs: Vec<u32>,
    /// Likewise times `[LANES]` of four weights each.
    pub weights: Vec<i32>,
    /// `[outputs / LANES]`: how many chains of 1 to [`MOST`] sums.
    pub counts: Vec<[u32; MOST]>,
}

impl Chains {
    /// `weights`: `[outputs][inputs]`.
    pub fn new(inputs: usize, outputs: usize, weights: Weights) -> Chains {
        let mut all = Chains { inputs: Vec::new(), weights: Vec::new(), counts: Vec::new() };
        let Weights::Bytes(w) = weights else { return all };
        for first in (0..outputs).step_by(LANES) {
            let four = |k: usize, o: usize| -> [i8; 4] { std::array::from_fn(|i| w[(first + o) * inputs + 4 * k + i]) };
            // Of each lane of int16, two to an output: the sums of its positive and of its negative weights.
            let room = |k: usize| -> [[i32; 2]; 2 * LANES] {
                std::array::from_fn(|lane| {
                    let w = four(k, lane / 2).map(|w| w as i32);
                    let two = &w[lane % 2 * 2..][..2];
                    [two.iter().map(|w| *w.max(&0)).sum(), two.iter().map(|w| -*w.min(&0)).sum()]
                })
            };
            let most = |room: &[[i32; 2]; 2 * LANES]| *room.as_flattened().iter().max().expect("lanes");
            let mut groups: Vec<_> = (0..inputs / 4).map(|k| (k, room(k))).collect();
            groups.sort_by_key(|(_, room)| -most(room));
            // The first chain that has room for it: those with the largest weights come first.
            let mut chains: Vec<(Vec<usize>, [[i32; 2]; 2 * LANES])> = Vec::new();
            for (k, own) in groups {
                let with = |room: &[[i32; 2]; 2 * LANES]| std::array::from_fn(|l| [room[l][0] + own[l][0], room[l][1] + own[l][1]]);
                match chains.iter_mut().find(|(chain, room)| chain.len() < MOST && most(&with(room)) <= ROOM) {
                    Some((chain, room)) => (chain.push(k), *room = with(room)).1,
                    None => chains.push((vec![k], own)),
                }
            }
            chains.sort_by_key(|(chain, _)| std::cmp::Reverse(chain.len()));
            all.counts.push(std::array::from_fn(|n| chains.iter().filter(|(chain, _)| chain.len() == n + 1).count() as u32));
            for k in chains.into_iter().flat_map(|(chain, _)| chain) {
                all.inputs.push(k as u32);
                all.weights.extend((0..LANES).map(|o| i32::from_le_bytes(four(k, o).map(|w| w as u8))));
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_weights_make_long_chains_and_all_inputs_are_in_one() {
        let w: Vec<i8> = (0..64 * 16).map(|i| if i / 64 < 8 { 16 } else { [-64, 64, 1, 0][i % 4] }).collect();
        let c = Chains::new(64, 16, Weights::Bytes(&w));
        assert_eq!(c.counts, [[0, 0, 0, 4], [0, 8, 0, 0]]);
        for half in c.inputs.chunks(16) {
            let mut all = half.to_vec();
            all.sort();
            assert_eq!(all, (0..16).collect::<Vec<u32>>());
        }
    }
}
