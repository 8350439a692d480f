/* SPDX-License-Identifier: ISC */
#include "census.h"

#include <search.h>
#include <stdlib.h>

struct counted {
	struct census_class class_of;
	struct census_sum sum;
};

struct census {
	void *tree; /* of struct counted: tsearch(3) */
};

static int compare(const void *left, const void *right)
{
	const struct census_class *a = left, *b = right;

	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

enum mortise_status census_new(struct census **out_census)
{
	struct census *census = calloc(1, sizeof *census);

	if (!census)
		return MORTISE_BUSY;
	*out_census = census;
	return MORTISE_OK;
}

void census_free(struct census *census)
{
	if (census)
		tdestroy(census->tree, free);
	free(census);
}

/* A class is the first member of what is counted, so that the tree is searched by a class. */
static struct counted *find(const struct census *census, const struct census_class *class_of)
{
	void *const *node = tfind(class_of, &census->tree, compare);

	return node ? *node : NULL;
}

enum mortise_status census_add(
	struct census *census, const struct census_class *class_of, const struct census_sum *sum)
{
	struct counted *counted = find(census, class_of);

	if (!counted) {
		counted = calloc(1, sizeof *counted);
		if (!counted)
			return MORTISE_BUSY;
		counted->class_of = *class_of;
		if (!tsearch(counted, &census->tree, compare)) {
			free(counted);
			return MORTISE_BUSY;
		}
	}
	counted->sum.size_bytes += sum->size_bytes;
	counted->sum.secrets += sum->secrets;
	return MORTISE_OK;
}

/* What could not be counted, since it could not be read, may be taken off once it can. */
static void take_off(uint64_t *total, uint64_t part)
{
	*total -= part < *total ? part : *total;
}

void census_take(
	struct census *census, const struct census_class *class_of, const struct census_sum *sum)
{
	struct counted *counted = find(census, class_of);

	if (!counted)
		return;
	take_off(&counted->sum.size_bytes, sum->size_bytes);
	take_off(&counted->sum.secrets, sum->secrets);
}

struct census_sum census_sum_of(const struct census *census, const struct census_class *class_of)
{
	const struct counted *counted = find(census, class_of);

	return counted ? counted->sum : (struct census_sum){0};
}

struct walk {
	census_visit *visit;
	void *context;
};

static void visit_node(const void *node, VISIT order, void *context)
{
	const struct counted *counted = *(const struct counted *const *)node;
	const struct walk *walk = context;

	if (order == postorder || order == leaf)
		walk->visit(walk->context, &counted->class_of, &counted->sum);
}

void census_each(const struct census *census, census_visit *visit, void *context)
{
	struct walk walk = {visit, context};

	twalk_r(census->tree, visit_node, &walk);
}
