/* SPDX-License-Identifier: Apache-2.0 */
/*
 * avro-c's headers beside ours. Its <avro/schema.h> would be found in src/avro, which comes first
 * in the search path; a path that exists only below the system's include folder names the other.
 */
#ifndef PENSTOCK_TESTS_AVRO_C_H
#define PENSTOCK_TESTS_AVRO_C_H

#include <avro/../../include/avro/schema.h>

#include <avro.h>

#endif
