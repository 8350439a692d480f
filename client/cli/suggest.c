/* SPDX-License-Identifier: ISC */
#include "suggest.h"

#include <stddef.h>
#include <string.h>

#define WORD_MAX 40 /* longer ones resemble nothing */

static unsigned least_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned suggest_distance(const char *one, const char *other)
{
	unsigned rows[WORD_MAX + 1][WORD_MAX + 1];
	size_t one_size = strlen(one), other_size = strlen(other);

	if (one_size > WORD_MAX || other_size > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= one_size; i++) {
		for (size_t j = 0; j <= other_size; j++) {
			unsigned best;

			if (i == 0 || j == 0) {
				rows[i][j] = (unsigned)(i + j);
				continue;
			}
			best = rows[i - 1][j - 1] + (one[i - 1] != other[j - 1]);
			best = least_of(best, rows[i - 1][j] + 1);
			best = least_of(best, rows[i][j - 1] + 1);
			if (i > 1 && j > 1 && one[i - 1] == other[j - 2] &&
				one[i - 2] == other[j - 1])
				best = least_of(best, rows[i - 2][j - 2] + 1);
			rows[i][j] = best;
		}
	}
	return rows[one_size][other_size];
}

void suggest_consider(struct suggest *suggest, const char *candidate)
{
	unsigned distance = suggest_distance(suggest->word, candidate);

	if (distance > 1 + strlen(candidate) / 4)
		return;
	if (suggest->found != NULL && distance >= suggest->distance)
		return;
	suggest->found = candidate;
	suggest->distance = distance;
}
