/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main() for fuzz targets where libFuzzer is not linked (define FUZZ_NO_MAIN where it is).
 *
 *   fuzz_X                  N mutations of the files in tests/fuzz/corpus/fuzz_X, if it is there
 *   fuzz_X PATH...          replays files, and the files of directories, as they are
 *   fuzz_X -n N [-s SEED] [PATH...]   replays, then N mutations of them
 *
 * Deterministic: the same seed and files give the same inputs. The environment's FUZZ_RUNS sets
 * N (default 20000). Inputs are copied to blocks of their exact size, so that AddressSanitizer
 * sees overreads. The seed is printed first.
 */
#ifndef PENSTOCK_FUZZ_DRIVER_H
#define PENSTOCK_FUZZ_DRIVER_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef FUZZ_NO_MAIN
#define FUZZ_MAX_INPUT ((size_t)1 << 20)

struct fuzz_input {
    uint8_t *data;
    size_t size;
};

static struct fuzz_input *fuzz_inputs;
static size_t fuzz_count;
static uint64_t fuzz_state;

static uint64_t fuzz_random(void) /* splitmix64 */
{
    uint64_t z = (fuzz_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void fuzz_run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);

    if (exact == NULL)
        abort();
    if (size > 0)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void fuzz_load_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct fuzz_input in = {malloc(FUZZ_MAX_INPUT), 0};

    if (f == NULL || in.data == NULL) {
        perror(path);
        exit(2);
    }
    in.size = fread(in.data, 1, FUZZ_MAX_INPUT, f);
    fclose(f);
    fuzz_inputs = realloc(fuzz_inputs, (fuzz_count + 1) * sizeof(in));
    if (fuzz_inputs == NULL)
        abort();
    in.data = realloc(in.data, in.size ? in.size : 1);
    fuzz_inputs[fuzz_count++] = in;
}

static void fuzz_load(const char *path)
{
    struct dirent **names;
    struct stat st;
    char file[4096];
    int i, n;

    if (stat(path, &st) != 0) {
        perror(path);
        exit(2);
    }
    if (!S_ISDIR(st.st_mode)) {
        fuzz_load_file(path);
        return;
    }
    n = scandir(path, &names, NULL, alphasort);
    for (i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
            fuzz_load(file);
        }
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

/* One small change: a flipped bit, a new byte, a cut, an insertion, a copied run, a number. */
static size_t fuzz_mutate(uint8_t *p, size_t n, size_t cap)
{
    static const uint8_t odd[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0xff, 0xfe, 0x40};
    size_t at = n ? fuzz_random() % n : 0, len, from;

    switch (n ? fuzz_random() % 7 : 3) {
    case 0:
        p[at] ^= (uint8_t)(1u << fuzz_random() % 8);
        break;
    case 1:
        p[at] = (uint8_t)fuzz_random();
        break;
    case 2:
        return at;
    case 3:
        if (n < cap) {
            memmove(p + at + 1, p + at, n - at);
            p[at] = (uint8_t)fuzz_random();
            return n + 1;
        }
        break;
    case 4:
        len = fuzz_random() % (n - at) + 1;
        memmove(p + at, p + at + len, n - at - len);
        return n - len;
    case 5:
        from = fuzz_random() % n;
        len = fuzz_random() % (n - (at > from ? at : from)) + 1;
        memmove(p + at, p + from, len);
        break;
    default:
        p[at] = odd[fuzz_random() % sizeof(odd)];
    }
    return n;
}

static void fuzz_mutations(uint64_t runs)
{
    uint8_t *work = malloc(FUZZ_MAX_INPUT + 64);
    uint64_t i, k;

    if (work == NULL)
        abort();
    for (i = 0; i < runs; i++) {
        size_t n = 0;

        if (fuzz_count > 0) {
            const struct fuzz_input *in = &fuzz_inputs[fuzz_random() % fuzz_count];

            n = in->size;
            memcpy(work, in->data, n);
        }
        for (k = fuzz_random() % (fuzz_count ? 8 : 64) + 1; k > 0; k--)
            n = fuzz_mutate(work, n, FUZZ_MAX_INPUT);
        fuzz_run(work, n);
    }
    free(work);
}

int main(int argc, char **argv)
{
    const char *env = getenv("FUZZ_RUNS"), *name = strrchr(argv[0], '/');
    uint64_t runs = env ? strtoull(env, NULL, 10) : 20000, seed = 1;
    bool mutate = argc == 1;
    char corpus[4096];
    size_t k;
    int i;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
            runs = strtoull(argv[++i], NULL, 10);
            mutate = true;
        } else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 10);
        } else {
            fuzz_load(argv[i]);
        }
    }
    snprintf(corpus, sizeof(corpus), "tests/fuzz/corpus/%s", name ? name + 1 : argv[0]);
    if (argc == 1 && access(corpus, R_OK) == 0)
        fuzz_load(corpus);
    fuzz_state = seed;
    printf("%s: seed %llu\n", argv[0], (unsigned long long)seed);
    for (k = 0; k < fuzz_count; k++)
        fuzz_run(fuzz_inputs[k].data, fuzz_inputs[k].size);
    if (mutate)
        fuzz_mutations(runs);
    printf("%s: %zu files, %llu mutations: ok\n", argv[0], fuzz_count,
           (unsigned long long)(mutate ? runs : 0));
    for (k = 0; k < fuzz_count; k++)
        free(fuzz_inputs[k].data);
    free(fuzz_inputs);
    return 0;
}
#endif

#endif
