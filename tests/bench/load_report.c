/* SPDX-License-Identifier: ISC */
#include "load_report.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LATENCIES_MAX ((size_t)1 << 22)

static uint32_t *latencies; /* ns */
static size_t latency_count;
static uint64_t operations, errors;

void fail(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, ": %s\n", strerror(error));
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The first number of a thread's schedstat is the time it ran. */
static uint64_t thread_ns(int process, const char *thread)
{
	char path[64];
	unsigned long long ns = 0;
	FILE *file;

	(void)snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", process, thread);
	file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%llu", &ns) != 1)
		fail("%s", path);
	(void)fclose(file);
	return ns;
}

uint64_t cpu_ns(int process)
{
	char path[64];
	uint64_t sum = 0;
	const struct dirent *thread;
	DIR *threads;

	if (process == 0)
		return 0;
	(void)snprintf(path, sizeof path, "/proc/%d/task", process);
	threads = opendir(path);
	if (threads == NULL)
		fail("%s", path);
	while ((thread = readdir(threads)) != NULL)
		if (thread->d_name[0] != '.')
			sum += thread_ns(process, thread->d_name);
	(void)closedir(threads);
	return sum;
}

/* Touched now, so that no page fault falls into the time that counts. */
void report_init(void)
{
	latencies = malloc(LATENCIES_MAX * sizeof *latencies);
	if (latencies == NULL)
		fail("memory");
	memset(latencies, 1, LATENCIES_MAX * sizeof *latencies);
}

void report_operation(uint64_t latency_ns)
{
	operations++;
	if (latency_count < LATENCIES_MAX)
		latencies[latency_count++] =
			latency_ns < UINT32_MAX ? (uint32_t)latency_ns : UINT32_MAX;
}

void report_error(void)
{
	errors++;
}

static int order(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double percentile_us(unsigned percent)
{
	return latency_count == 0 ? 0 : latencies[(latency_count - 1) * percent / 100] / 1e3;
}

bool report_print(uint64_t elapsed_ns, uint64_t server_cpu_ns)
{
	double count = operations == 0 ? 1 : (double)operations;

	qsort(latencies, latency_count, sizeof *latencies, order);
	printf("%.0f %.2f %.2f %llu %.2f\n", (double)operations / ((double)elapsed_ns / 1e9),
		percentile_us(50), percentile_us(99), (unsigned long long)errors,
		(double)server_cpu_ns / 1e3 / count);
	return errors == 0;
}
