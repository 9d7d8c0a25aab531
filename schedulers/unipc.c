/* UniPC (Zhao et al. 2023): a model output first corrects the sample it was computed from, then predicts the next one.
 *     x_t = X x_s - A phi1 m0 - A B (sum_k rho_k (m_k - m0)/r_k [+ rho (m_t - m0) in the corrector])
 *     predict_x0: X = σ_t/σ_s, A = α_t, hh = -h;    else X = α_t/α_s, A = σ_t, hh = h
 *     phi1 = e^hh - 1;    B = phi1 (bh2) or hh (bh1);    rho from a Vandermonde system in r */
#include <math.h>
#include <string.h>

#include "schedulers/plan.h"

enum { MAX_ORDER = 3 };

struct bh {
    double X, A, phi1, B;
    double r[MAX_ORDER]; /* (λ_{s-k} - λ_s) / h for k = 1 … order - 1, then 1 */
    double b[MAX_ORDER];
};

static struct bh bh_step(const struct plan *p, int s, int t, int order) {
    const float *sigmas = p->schedule->sigmas;
    bool data = p->config->predict_x0;
    double from = (double)sigmas[s], to = (double)sigmas[t], h = log(from) - log(to), hh = data ? -h : h;
    double alpha_from = 1 / sqrt(from * from + 1), alpha_to = 1 / sqrt(to * to + 1);
    struct bh f = {.X = data ? to * alpha_to / (from * alpha_from) : alpha_to / alpha_from, .A = data ? alpha_to : to * alpha_to};
    f.phi1 = expm1(hh);
    f.B = strcmp(p->config->solver_type, "bh1") ? f.phi1 : hh;
    double phi = f.phi1 / hh - 1, factorial = 1;
    for (int k = 1; k <= order; k++) {
        f.r[k - 1] = k < order ? (log(from) - log((double)sigmas[s - k])) / h : 1;
        f.b[k - 1] = phi * factorial / f.B;
        factorial *= k + 1;
        phi = phi / hh - 1 / factorial;
    }
    return f;
}

/* sum_j r_j^i rho_j = b_i for i, j < n, by elimination. */
static void solve_vandermonde(const double *r, const double *b, int n, double *rho) {
    double m[MAX_ORDER][MAX_ORDER + 1];
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) m[i][j] = i == 0 ? 1 : m[i - 1][j] * r[j];
        m[i][n] = b[i];
    }
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++) {
            double factor = m[k][i] / m[i][i];
            for (int j = i; j <= n; j++) m[k][j] -= factor * m[i][j];
        }
    for (int i = n - 1; i >= 0; i--) {
        rho[i] = m[i][n];
        for (int j = i + 1; j < n; j++) rho[i] -= m[i][j] * rho[j];
        rho[i] /= m[i][i];
    }
}

/* s, the previous corrected sample, becomes this row's: m_t is d[0], the older outputs d[1]… */
static void fill_corrector(const struct plan *p, struct sched_row *r, int i, int order) {
    struct bh f = bh_step(p, i - 1, i, order);
    double rho[MAX_ORDER] = {0.5}, m0 = -f.A * f.phi1;
    if (order > 1) solve_vandermonde(f.r, f.b, order, rho);
    for (int k = 1; k < order; k++) {
        double c = -f.A * f.B * rho[k - 1] / f.r[k - 1];
        r->ad[k + 1] = (float)c;
        m0 -= c;
    }
    double last = -f.A * f.B * rho[order - 1];
    r->as = (float)f.X;
    r->ad[0] = (float)last;
    r->ad[1] = (float)(m0 - last);
}

static void fill_predictor(const struct plan *p, struct sched_row *r, int i, int order) {
    struct bh f = bh_step(p, i, i + 1, order);
    double rho[MAX_ORDER] = {0.5}, m0 = -f.A * f.phi1;
    if (order > 2) solve_vandermonde(f.r, f.b, order - 1, rho);
    if (order == 1) m0 -= f.A * f.B * 0; /* diffusers' NaN for bh1 and a final sigma of 0: B is infinite */
    for (int k = 1; k < order; k++) {
        double c = -f.A * f.B * rho[k - 1] / f.r[k - 1];
        r->cd[k] = (float)c;
        m0 -= c;
    }
    r->cs = (float)f.X;
    r->cd[0] = (float)m0;
}

static bool corrects(const struct plan *p, int i) {
    for (int k = 0; k < p->config->n_disable_corrector; k++)
        if (p->config->disable_corrector[k] == i - 1) return false;
    return i > p->skip;
}

static void push_output(const struct plan *p, struct sched_row *r, double t, double sigma) {
    double alpha = 1 / (sigma * sigma + 1);
    enum prediction kind = plan_prediction(p);
    row_vp(r, t, alpha);
    r->push = r->save = true;
    if (p->config->predict_x0 && row_clip(r, p->config, form_x0(kind, alpha))) return;
    struct form v = p->config->predict_x0 ? form_x0(kind, alpha) : form_eps(kind, alpha);
    r->dx = (float)v.x;
    r->de = (float)v.e;
}

static void plan(struct plan *p) {
    const struct sched_config *c = p->config;
    plan_noise(p, true);
    struct levels l = solver_levels(p, p->T, true);
    bool converted = c->use_karras_sigmas || c->use_exponential_sigmas || c->use_beta_sigmas;
    double last = strcmp(c->final_sigmas_type, "sigma_min") || !converted ? final_sigma(p) : l.sigma[l.n - 1];
    const float *sigmas = plan_sigmas(p, &l, last);
    struct sched_row *rows = plan_rows(p, l.n, 1);
    p->schedule->history = MAX_ORDER + 1;
    for (int i = p->skip, order = 0; i < l.n; i++) {
        struct sched_row *r = &rows[i - p->skip];
        push_output(p, r, l.t[i], (double)sigmas[i]);
        if (corrects(p, i)) fill_corrector(p, r, i, order);
        else r->ax = 1;
        order = c->solver_order;
        if (c->lower_order_final && order > l.n - i) order = l.n - i;
        if (order > i - p->skip + 1) order = i - p->skip + 1;
        fill_predictor(p, r, i, order);
    }
}

static const char *const names[] = {"unipc", "uni_pc", NULL};
static const char *const options[] = {
    "num_train_timesteps=1000",
    "beta_start=0.0001",
    "beta_end=0.02",
    "beta_schedule=linear|scaled_linear|squaredcos_cap_v2",
    "trained_betas=none",
    "solver_order=2",
    "prediction_type=epsilon|sample|v_prediction",
    "thresholding=false",
    "dynamic_thresholding_ratio=0.995",
    "sample_max_value=1",
    "predict_x0=true",
    "solver_type=bh2|bh1",
    "lower_order_final=true",
    "disable_corrector=none",
    "use_karras_sigmas=false",
    "use_exponential_sigmas=false",
    "use_beta_sigmas=false",
    "timestep_spacing=linspace|leading|trailing",
    "steps_offset=0",
    "final_sigmas_type=zero|sigma_min",
    "rescale_betas_zero_snr=false",
    "sigma_min=none",
    "sigma_max=none",
    NULL,
};
const struct scheduler unipc_scheduler = {
    .class_name = "UniPCMultistepScheduler",
    .sampler = "UniPC",
    .names = names,
    .summary = "predictor and corrector from one model call: good pictures in 10 to 20 steps",
    .model_calls = "n",
    .options = options,
    .plan = plan,
};
