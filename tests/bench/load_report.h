/* SPDX-License-Identifier: ISC */
/*
 * load_report: what the load counts, and the line it prints in the end.
 */
#ifndef MORTISE_BENCH_LOAD_REPORT_H
#define MORTISE_BENCH_LOAD_REPORT_H

#include <stdbool.h>
#include <stdint.h>

/* Prints what failed and errno's text, and exits. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

uint64_t now_ns(void);

/* CPU time of all threads of a process; 0 for process 0. */
uint64_t cpu_ns(int process);

void report_init(void);
void report_operation(uint64_t latency_ns);
void report_error(void);
/* ops/s, p50 and p99 in us, errors, us of CPU per operation. False if there were errors. */
bool report_print(uint64_t elapsed_ns, uint64_t server_cpu_ns);

#endif
