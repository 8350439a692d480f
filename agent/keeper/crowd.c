/* SPDX-License-Identifier: ISC */
/*
 * Deficit round robin (Shreedhar, Varghese: Efficient fair queuing using deficit round robin,
 * 1995), in microseconds: whoever stands in line gets credit at each round, and is served while he
 * has some. What is begun is finished, so that credit may become debt, which the next rounds pay.
 */
#include "crowd.h"

#include <stdlib.h>

#define QUANTUM_US   250
#define DEBT_MAX_US  20000
#define FORGIVEN_US  100000 /* who is away for so long owes nothing */
#define CHAINS       256    /* a power of two */
#define DEBTORS_KEPT 256    /* of those who are away */

struct person {
	uint32_t uid;
	bool is_operator, is_in_ring;
	size_t count;
	int64_t credit_us;
	uint64_t left_us; /* of one without places */
	struct place *quietest, *liveliest;
	struct place *first, *last; /* in line */
	struct person *previous, *next; /* in its ring */
	struct person *chained;
};

/* Those of whom somebody stands in line; the head is whose turn it is. */
struct ring {
	struct person *head;
	int64_t credit_us;
};

enum { OTHERS, OPERATORS, RINGS };

struct crowd {
	struct person *chains[CHAINS];
	struct ring rings[RINGS];
	unsigned whose; /* the ring that is served */
	size_t away;
	struct person *served; /* NULL: nobody, or gone */
};

enum mortise_status crowd_new(struct crowd **out_crowd)
{
	struct crowd *crowd = calloc(1, sizeof *crowd);

	if (!crowd)
		return MORTISE_BUSY;
	*out_crowd = crowd;
	return MORTISE_OK;
}

static struct person **find(struct crowd *crowd, uint32_t uid)
{
	struct person **at = &crowd->chains[uid & (CHAINS - 1)];

	while (*at && (*at)->uid != uid)
		at = &(*at)->chained;
	return at;
}

static void forget(struct crowd *crowd, struct person **at)
{
	struct person *person = *at;

	*at = person->chained;
	if (crowd->served == person)
		crowd->served = NULL;
	free(person);
}

/* Debtors that are away: all of them, or those whose debt is forgiven. */
static void forget_away(struct crowd *crowd, uint64_t before_us)
{
	for (unsigned i = 0; i < CHAINS; i++) {
		struct person **at = &crowd->chains[i];

		while (*at) {
			if ((*at)->count > 0 || (*at)->left_us > before_us) {
				at = &(*at)->chained;
				continue;
			}
			forget(crowd, at);
			crowd->away--;
		}
	}
}

void crowd_free(struct crowd *crowd)
{
	if (!crowd)
		return;
	forget_away(crowd, UINT64_MAX);
	free(crowd);
}

/* ---- The ring of a class ---- */

static struct ring *ring_of(struct crowd *crowd, const struct person *person)
{
	return &crowd->rings[person->is_operator ? OPERATORS : OTHERS];
}

static void enter(struct crowd *crowd, struct person *person)
{
	struct ring *ring = ring_of(crowd, person);

	person->is_in_ring = true;
	if (!ring->head) {
		person->previous = person->next = person;
		ring->head = person;
		return;
	}
	person->next = ring->head;
	person->previous = ring->head->previous;
	person->previous->next = person->next->previous = person;
}

/* Who leaves the line keeps his debt and no credit. */
static void leave(struct crowd *crowd, struct person *person)
{
	struct ring *ring = ring_of(crowd, person);

	if (ring->head == person)
		ring->head = person->next == person ? NULL : person->next;
	person->previous->next = person->next;
	person->next->previous = person->previous;
	person->is_in_ring = false;
	if (person->credit_us > 0)
		person->credit_us = 0;
}

/* ---- Places ---- */

static void append(struct person *person, struct place *place)
{
	place->quieter = person->liveliest;
	place->livelier = NULL;
	*(place->quieter ? &place->quieter->livelier : &person->quietest) = place;
	person->liveliest = place;
}

static void detach(struct person *person, struct place *place)
{
	*(place->quieter ? &place->quieter->livelier : &person->quietest) = place->livelier;
	*(place->livelier ? &place->livelier->quieter : &person->liveliest) = place->quieter;
}

enum mortise_status crowd_join(struct crowd *crowd, struct place *place, uint32_t uid,
	bool is_operator, uint64_t now_us)
{
	struct person **at = find(crowd, uid), *person = *at;

	if (!person) {
		person = calloc(1, sizeof *person);
		if (!person)
			return MORTISE_BUSY;
		person->uid = uid;
		*at = person;
	} else if (person->count == 0) {
		crowd->away--;
		if (now_us - person->left_us > FORGIVEN_US)
			person->credit_us = 0;
	}
	if (!person->is_in_ring)
		person->is_operator = is_operator;
	person->count++;
	*place = (struct place){.person = person, .heard_us = now_us};
	append(person, place);
	return MORTISE_OK;
}

void crowd_step_out(struct crowd *crowd, struct place *place)
{
	struct person *person = place->person;
	struct place **at = &person->first, *before = NULL;

	if (!place->is_in_line)
		return;
	for (; *at != place; at = &(*at)->behind)
		before = *at;
	*at = place->behind;
	if (person->last == place)
		person->last = before;
	place->is_in_line = false;
	if (!person->first)
		leave(crowd, person);
}

void crowd_leave(struct crowd *crowd, struct place *place, uint64_t now_us)
{
	struct person *person = place->person;

	if (!person)
		return;
	crowd_step_out(crowd, place);
	detach(person, place);
	place->person = NULL;
	if (--person->count > 0)
		return;
	person->left_us = now_us;
	crowd->away++;
	if (person->credit_us >= 0 && crowd->served != person) {
		forget(crowd, find(crowd, person->uid));
		crowd->away--;
	} else if (crowd->away > DEBTORS_KEPT) {
		forget_away(crowd, now_us > FORGIVEN_US ? now_us - FORGIVEN_US : 0);
	}
}

/* ---- The line ---- */

void crowd_stand_in_line(struct crowd *crowd, struct place *place)
{
	struct person *person = place->person;

	if (place->is_in_line)
		return;
	place->is_in_line = true;
	place->behind = NULL;
	*(person->first ? &person->last->behind : &person->first) = place;
	person->last = place;
	if (!person->is_in_ring)
		enter(crowd, person);
}

/* Each class until it has used up its quantum, where both have somebody. */
static struct ring *choose_ring(struct crowd *crowd)
{
	struct ring *ring = &crowd->rings[crowd->whose], *other = &crowd->rings[!crowd->whose];

	if (!ring->head || (other->head && ring->credit_us <= 0)) {
		crowd->whose = !crowd->whose;
		ring->credit_us = ring->head ? ring->credit_us : 0;
		ring = other;
		ring->credit_us = QUANTUM_US;
	}
	return ring->head ? ring : NULL;
}

struct place *crowd_next(struct crowd *crowd, uint64_t now_us)
{
	struct ring *ring = choose_ring(crowd);
	struct person *person;
	struct place *place;

	if (!ring)
		return NULL;
	while (ring->head->credit_us <= 0) {
		ring->head = ring->head->next;
		ring->head->credit_us += QUANTUM_US;
	}
	person = crowd->served = ring->head;
	place = person->first;
	crowd_step_out(crowd, place);
	detach(person, place);
	place->heard_us = now_us;
	append(person, place);
	return place;
}

static void charge(struct person *person, int64_t elapsed_us)
{
	person->credit_us -= elapsed_us;
	if (person->credit_us < -DEBT_MAX_US)
		person->credit_us = -DEBT_MAX_US;
}

void crowd_charge(struct crowd *crowd, uint64_t elapsed_us)
{
	int64_t elapsed = elapsed_us < DEBT_MAX_US ? (int64_t)elapsed_us : DEBT_MAX_US;
	struct person *person = crowd->served;

	crowd->rings[crowd->whose].credit_us -= elapsed;
	if (!person)
		return;
	charge(person, elapsed);
	crowd->served = NULL;
	if (person->count == 0 && person->credit_us >= 0) {
		forget(crowd, find(crowd, person->uid));
		crowd->away--;
	}
}

void crowd_charge_place(struct place *place, uint64_t elapsed_us)
{
	charge(place->person, elapsed_us < DEBT_MAX_US ? (int64_t)elapsed_us : DEBT_MAX_US);
}

bool crowd_is_waiting(const struct crowd *crowd)
{
	return crowd->rings[OTHERS].head || crowd->rings[OPERATORS].head;
}

size_t crowd_places_of(const struct crowd *crowd, uint32_t uid)
{
	const struct person *person = crowd->chains[uid & (CHAINS - 1)];

	while (person && person->uid != uid)
		person = person->chained;
	return person ? person->count : 0;
}

/* The one that was quiet for longest and has no answer under way, or else the quietest of all. */
static struct place *quietest_of(const struct person *person)
{
	struct place *place = person->quietest;

	while (place && place->is_busy)
		place = place->livelier;
	return place ? place : person->quietest;
}

struct place *crowd_yield(struct crowd *crowd, uint32_t uid)
{
	struct place *found = NULL;
	size_t most = crowd_places_of(crowd, uid);

	for (unsigned i = 0; i < CHAINS; i++) {
		for (struct person *person = crowd->chains[i]; person; person = person->chained) {
			struct place *place;

			if (person->is_operator || person->count == 0 || person->count < most)
				continue;
			if (person->count == most && !found)
				continue;
			place = quietest_of(person);
			if (person->count == most && place->heard_us >= found->heard_us)
				continue;
			most = person->count;
			found = place;
		}
	}
	return found;
}
