/* Every call of cuda/api.h's table is made to fail once at its first, middle and last use while a small picture is made, each time
 * in a process of its own: it must end with the documented exit code and one line, and never hang or crash. */
#include "test/support.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cuda/api.h"
#include "cuda/cuda.h"
#include "engine/base/error.h"
#include "engine/pipelines/picture.h"

/* name, parameters, arguments, exit code when it fails; 0: the program may go on */
#define CALLS(X)                                                                                                                          \
    X(Malloc, (void **p, size_t n), (p, n), FAIL_MEMORY)                                                                                  \
    X(MallocHost, (void **p, size_t n), (p, n), FAIL_DEVICE)                                                                              \
    X(GetDeviceCount, (int *count), (count), FAIL_DEVICE)                                                                                 \
    X(SetDevice, (int device), (device), FAIL_DEVICE)                                                                                     \
    X(GetDeviceProperties, (struct cudaDeviceProp * prop, int device), (prop, device), FAIL_DEVICE)                                       \
    X(Free, (void *p), (p), 0)                                                                                                            \
    X(FreeHost, (void *p), (p), 0)                                                                                                        \
    X(MemcpyAsync, (void *dst, const void *src, size_t n, enum cudaMemcpyKind kind, cudaStream_t s), (dst, src, n, kind, s), FAIL_DEVICE) \
    X(MemsetAsync, (void *p, int value, size_t n, cudaStream_t s), (p, value, n, s), FAIL_DEVICE)                                         \
    X(StreamCreateWithFlags, (cudaStream_t * s, unsigned flags), (s, flags), FAIL_DEVICE)                                                 \
    X(StreamDestroy, (cudaStream_t s), (s), 0)                                                                                            \
    X(StreamSynchronize, (cudaStream_t s), (s), FAIL_DEVICE)                                                                              \
    X(StreamBeginCapture, (cudaStream_t s, enum cudaStreamCaptureMode mode), (s, mode), FAIL_DEVICE)                                      \
    X(StreamEndCapture, (cudaStream_t s, cudaGraph_t * graph), (s, graph), FAIL_DEVICE)                                                   \
    X(EventCreateWithFlags, (cudaEvent_t * event, unsigned flags), (event, flags), FAIL_DEVICE)                                           \
    X(EventDestroy, (cudaEvent_t event), (event), 0)                                                                                      \
    X(EventRecord, (cudaEvent_t event, cudaStream_t s), (event, s), FAIL_DEVICE)                                                          \
    X(EventSynchronize, (cudaEvent_t event), (event), FAIL_DEVICE)                                                                        \
    X(EventElapsedTime, (float *ms, cudaEvent_t start, cudaEvent_t end), (ms, start, end), FAIL_DEVICE)                                   \
    X(GraphInstantiate, (cudaGraphExec_t * exec, cudaGraph_t graph, unsigned long long flags), (exec, graph, flags), FAIL_DEVICE)         \
    X(GraphLaunch, (cudaGraphExec_t exec, cudaStream_t s), (exec, s), FAIL_DEVICE)                                                        \
    X(GraphDestroy, (cudaGraph_t graph), (graph), 0)                                                                                      \
    X(GraphExecDestroy, (cudaGraphExec_t exec), (exec), 0)                                                                                \
    X(FuncGetAttributes, (struct cudaFuncAttributes * attributes, const void *kernel), (attributes, kernel), FAIL_DEVICE)                 \
    X(FuncSetAttribute, (const void *kernel, enum cudaFuncAttribute attribute, int value), (kernel, attribute, value), FAIL_DEVICE)       \
    X(LaunchKernelExC, (const cudaLaunchConfig_t *config, const void *kernel, void **args), (config, kernel, args), FAIL_DEVICE)          \
    X(GetLastError, (void), (), FAIL_DEVICE)

#define ID(name, parameters, arguments, code) ID_##name,
enum { CALLS(ID) N_CALLS };
#define ROW(name, parameters, arguments, code) {#name, code},
static const struct call {
    const char *name;
    int code;
} calls[] = {CALLS(ROW)};

static struct cuda_api real;
static int *n_called;      /* [N_CALLS], shared with the children */
static bool *failed_apart; /* shared, too: in one of the loader's threads */
static int failing_call = -1, failing_at;

/* True where this use is the one to fail. */
static bool fails(int id) {
    int use = __atomic_add_fetch(&n_called[id], 1, __ATOMIC_RELAXED);
    bool failing = id == failing_call && use == failing_at;
    if (failing) *failed_apart = gettid() != getpid();
    return failing;
}

/* What a loader's thread opens for itself; where it cannot, the others may have brought everything by then. */
static bool is_opening(int id) {
    return id == ID_SetDevice || id == ID_StreamCreateWithFlags || id == ID_MallocHost || id == ID_Malloc || id == ID_EventCreateWithFlags;
}

/* What frees does so, and says that a kernel before it failed: "may also return error codes from previous, asynchronous launches". */
#define WRAPPER(name, parameters, arguments, code)                                          \
    static cudaError_t my_##name parameters {                                               \
        bool failing = fails(ID_##name);                                                    \
        if (failing && code == FAIL_MEMORY) return cudaErrorMemoryAllocation;               \
        cudaError_t error = failing && code ? cudaErrorLaunchFailure : real.name arguments; \
        return failing ? cudaErrorLaunchFailure : error;                                    \
    }
CALLS(WRAPPER)

static void wrap_table(void) {
    real = cuda;
#define WRAP(name, parameters, arguments, code) cuda.name = my_##name;
    CALLS(WRAP)
}

/* A row with noise each, so that uploads in the loop are among the calls; three, so that the graph is captured and replayed. */
static void draw(void) {
    struct arena a = {0};
    struct settings settings = {.model = "test/fixtures/tiny-sd1",
                                .prompt = "a fox",
                                .steps = 3,
                                .guidance = NAN,
                                .clip_skip = -1,
                                .scheduler = "euler_a",
                                .count = 1,
                                .width = 32,
                                .height = 32,
                                .rng_dtype = DT_F32};
    wrap_table();
    struct model *m = model_open(&a, settings_source(&settings));
    struct request *r = request_open(&a, m, &settings);
    model_use(m, cuda_device_open(DT_F16, -1));
    request_plan(r);
    model_load(m);
    uint8_t *rgb = arena_array(&a, 3 * (size_t)r->settings.width, (size_t)r->settings.height);
    picture_draw(picture_open(&a, r, 0), rgb);
    model_close(m);
    arena_free(&a);
    exit(0);
}

/* The child's exit code, or 128 + its signal; what it said in text. */
static int draw_in_child(int call, int at, char *text, size_t size) {
    int pipe_ends[2], status = 0;
    assert_int_equal(pipe(pipe_ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        close(pipe_ends[0]), close(pipe_ends[1]);
        failing_call = call, failing_at = at;
        alarm(600); /* it hangs */
        draw();
    }
    close(pipe_ends[1]);
    size_t n = 0;
    for (ssize_t got; n + 1 < size && (got = read(pipe_ends[0], text + n, size - n - 1)) > 0; n += (size_t)got) {
    }
    text[n] = 0;
    close(pipe_ends[0]);
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool is_one_line(const char *text) {
    const char *end = strchr(text, '\n');
    return strncmp(text, "diffuse: ", 9) == 0 && end && (!end[1] || (strncmp(end + 1, "hint: ", 6) == 0 && !strchr(end + 1, '\n')[1]));
}

static void test_each_call_fails(void **state) {
    (void)state;
    char text[4096];
    int code = draw_in_child(-1, 0, text, sizeof text), counts[N_CALLS], n_cases = 0;
    if (code) fail_msg("no fault: exit code %d: %s", code, text);
    memcpy(counts, n_called, sizeof counts);
    for (int id = 0; id < N_CALLS; id++) {
        int uses[] = {1, counts[id] / 2, counts[id]};
        for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
            if (uses[i] < 1 || uses[i] > counts[id] || (i && uses[i] <= uses[i - 1])) continue;
            memset(n_called, 0, N_CALLS * sizeof *n_called);
            *failed_apart = false;
            code = draw_in_child(id, uses[i], text, sizeof text);
            bool closing = id == ID_StreamSynchronize && uses[i] == counts[id]; /* the picture is made by then */
            bool spare = is_opening(id) && *failed_apart && code == 0;
            int expected = closing || spare ? 0 : calls[id].code;
            if (expected ? code != expected || !is_one_line(text) : code != 0)
                fail_msg("cuda%s, use %d of %d: expected exit code %d and one line, found %d: %s", calls[id].name, uses[i], counts[id],
                         expected, code, text);
            n_cases++;
        }
    }
    printf("%d faults\n", n_cases);
    assert_true(n_cases > 50);
}

int main(void) {
    n_called = mmap(NULL, (N_CALLS + 1) * sizeof *n_called, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    failed_apart = (bool *)(n_called + N_CALLS);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_call_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
