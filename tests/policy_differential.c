/* SPDX-License-Identifier: ISC */
/*
 * policy_differential [CASES [SEED]] [--corpus DIR]: cases from a seed, and all of a corpus,
 * with the policy held against its model. Exit status 1 and the case at the first difference.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_cases.h"

static uint64_t next(uint64_t *seed)
{
	uint64_t value = (*seed += UINT64_C(0x9e3779b97f4a7c15));

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static bool run_seeded(unsigned long cases, uint64_t seed, struct policy_case_counts *counts)
{
	uint64_t bytes[POLICY_CASE_SIZE / sizeof(uint64_t)];

	for (unsigned long i = 0; i < cases; i++) {
		for (size_t j = 0; j < sizeof bytes / sizeof bytes[0]; j++)
			bytes[j] = next(&seed);
		if (!policy_case_agrees((const uint8_t *)bytes, sizeof bytes, counts)) {
			(void)fprintf(stderr, "case %lu\n", i);
			return false;
		}
	}
	return true;
}

static bool run_file(const char *directory, const char *name, struct policy_case_counts *counts)
{
	char path[4096];
	uint8_t bytes[4096];
	FILE *file;
	size_t size;

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	size = fread(bytes, 1, sizeof bytes, file);
	(void)fclose(file);
	if (policy_case_agrees(bytes, size, counts))
		return true;
	(void)fprintf(stderr, "%s\n", path);
	return false;
}

static bool run_corpus(const char *path, struct policy_case_counts *counts)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	bool agrees = directory != NULL;

	while (agrees && (entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			agrees = run_file(path, entry->d_name, counts);
	if (directory != NULL)
		(void)closedir(directory);
	return agrees;
}

int main(int argc, char **argv)
{
	struct policy_case_counts counts = {0};
	const char *corpus = NULL;
	unsigned long numbers[] = {20000, 1};
	int given = 0;
	bool agrees;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--corpus") == 0 && i + 1 < argc)
			corpus = argv[++i];
		else if (given < 2)
			numbers[given++] = strtoul(argv[i], NULL, 10);
	}
	policy_cases_begin();
	agrees = (corpus == NULL || run_corpus(corpus, &counts)) &&
		 run_seeded(numbers[0], numbers[1], &counts);
	(void)printf("%lu cases from seed %lu: %lu policies read, %lu questions, %lu allowed, "
		     "%lu denied by a rule: %s\n",
		counts.cases, numbers[1], counts.policies, counts.questions, counts.allowed,
		counts.denied_by_rule, agrees ? "no difference" : "DIFFERENCE");
	return agrees ? 0 : 1;
}
