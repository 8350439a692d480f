/* SPDX-License-Identifier: ISC */
/*
 * census: how much is kept, added up in classes.
 * Knows neither secrets nor quotas: whoever counts says what is of which class.
 */
#ifndef MORTISE_CENSUS_H
#define MORTISE_CENSUS_H

#include <stdint.h>

#include "status.h"

struct census;

/* A class: a number of the counter's, and whose; UINT32_MAX: everybody's. */
struct census_class {
	uint32_t number, uid;
};

struct census_sum {
	uint64_t size_bytes, secrets;
};

enum mortise_status census_new(struct census **out_census) MUST_USE;
void census_free(struct census *census);

/* MORTISE_BUSY: no memory, and nothing was added. */
enum mortise_status census_add(struct census *census, const struct census_class *class_of,
	const struct census_sum *sum) MUST_USE;
/* Takes off what was added. */
void census_take(
	struct census *census, const struct census_class *class_of, const struct census_sum *sum);
/* Zeros where nothing was added. */
struct census_sum census_sum_of(const struct census *census, const struct census_class *class_of);

typedef void census_visit(
	void *context, const struct census_class *class_of, const struct census_sum *sum);
/* All classes, by number and uid. */
void census_each(const struct census *census, census_visit *visit, void *context);

#endif
