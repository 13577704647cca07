//! What it takes to settle accounts, before it is done: what somebody else has written may ask for any time.

use super::Ledger;
use crate::accounting::keys::KeySpec;
use crate::accounting::terms::Supersession;
use crate::accounting::{PagedBitmap, SenderAccount};

impl Ledger<'_> {
    /// About how many messages have to be looked at one by one, and pages of sets gone through. Complete deliveries are settled by whole
    /// pages; what is missing, doubled or must not have been read is looked at message by message.
    pub(in crate::accounting) fn effort(&self) -> u64 {
        let readers = |number: u16| self.readers.iter().filter_map(move |reader| reader.producer_seen(number));
        let pages = self.senders.iter().map(|sender| {
            let own = [&sender.acked, &sender.failed, &sender.unknown, &sender.aborted]
                .map(PagedBitmap::page_count)
                .into_iter();
            let seen = readers(sender.producer)
                .flat_map(|seen| [&seen.seen, &seen.again, &seen.damaged])
                .map(PagedBitmap::page_count);
            1 + self.readers.len() as u64 + own.chain(seen).sum::<u64>()
        });
        let pages = pages.fold(0, u64::saturating_add);
        // Sets that are as large as this are not even joined.
        if pages > MOST_EFFORT {
            return pages;
        }
        // Each place is held against the ranges that are no reader's business.
        let partitions = self.readers.iter().flat_map(|reader| reader.partitions.values());
        let ranges: u64 = partitions.map(|seen| seen.excused.len() as u64).sum();
        let compacted = self.senders.iter().any(|sender| self.terms.supersedes(&sender.topic) != Supersession::Never);
        let looks = self.senders.iter().map(|sender| {
            let seen = self.seen(sender.producer);
            let missing = sender.acked.len() - sender.acked.intersection_len(&seen);
            let mut again: u64 = readers(sender.producer).map(|one| one.again.len()).sum();
            again += self.seen_by_several(sender.producer).within;
            let wrong = sender.aborted.intersection_len(&seen) + sender.failed.intersection_len(&seen);
            // Whoever looks for one of them goes through the places of all.
            let places = if missing + wrong > 0 { sender.offsets.places() / PLACES } else { 0 };
            let looked = missing.saturating_mul(1 + ranges / 256).saturating_add(places);
            looked.saturating_add(again).saturating_add(wrong.saturating_mul(OF_WRONG))
        });
        let succeeding = self.senders.iter().chain(&self.beside).filter(|_| compacted).map(|sender| successors(sender));
        looks.chain(succeeding).fold(pages, u64::saturating_add)
    }
}

/// What it takes to know which of a sender's messages have a later one of the same key: each message's key, and the places of all in one
/// set.
fn successors(sender: &SenderAccount) -> u64 {
    let keys = sender.keys.as_ref().map_or(0, |plan| {
        let length = match &plan.spec {
            KeySpec::Constant(key) => key.len() as u64 / LONG_KEY,
            _ => 0,
        };
        sender.sent.saturating_mul(OF_KEY + length)
    });
    let (places, pages) = sender.offsets.spread((MOST_EFFORT / OF_PAGE) as usize, MOST_EFFORT);
    keys.saturating_add(places).saturating_add((pages as u64).saturating_mul(OF_PAGE))
}

/// More than this is not settled again: a hundred million messages lost are some ten seconds.
pub(in crate::accounting) const MOST_EFFORT: u64 = 1 << 27;
/// Of what must not have been read the place is kept in memory.
const OF_WRONG: u64 = 16;
/// The key of each message is kept in memory, in a few bytes.
const OF_KEY: u64 = 4;
/// A page of a set takes as much memory as the places of so many messages.
const OF_PAGE: u64 = 4096;
/// So many places are gone through in the time of one look.
const PLACES: u64 = 16;
/// A key of so many bytes takes twice the time.
const LONG_KEY: u64 = 64;
