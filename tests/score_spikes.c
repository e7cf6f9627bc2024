/* tests/score_spikes.c - the spike scores against numbers from an independent scorer, and the rules
 * for odd cases */
#include "check.h"

/* Made by score_spikes.py (numpy, scipy) of the shared folder from the same numbers. */
static double estimate_at(int seed, int k) {
    return fabs(sin(0.37 * k + seed)) * (1 + cos(0.011 * k * k)) + (k % 17 == seed ? 2.0 : 0.0);
}

TEST(score_spikes, against_the_reference) {
    enum { FRAMES = 400 };
    static const double fps[4] = {30.0, 7.5, 122.3, 500.0};
    /* r25, r40g, r160g, AUC, c50, c100, c200, count, c25 */
    static const double expected[4][9] = {
        {0.05010141895837382, 0.11042545550316585, 0.6330001858716782, 0.5104263578326008,
         0.15043623486304378, 0.3581072551026354, 0.698778877101879, 4.6096260815732855,
         0.08926696453774298},
        {0.0511755092845013, 0.09256399857457695, 0.17569984159741178, 0.56033112852622,
         0.10068177977840437, 0.1366966763797251, 0.20019188524679252, 4.653901485796168,
         0.0749253192141086},
        {0.04666390082788712, 0.3556773636202073, 0.5831637488063094, 0.5345506623702112,
         0.5280999318052583, 0.5322918313657956, 0.5543186401843075, 4.573904707110482,
         0.2551688990053327},
        {0.19712080885925798, 0.3439899600053621, 0.9082733130854329, NAN /* spikes in all bins */,
         0.34998288770655794, 0.5969467681266526, 0.9447894626677616, 4.614606073675311,
         0.1822361814489825},
    };
    /* r160g of the estimate 400 and 120 ms earlier, as it is, 400 ms later */
    static const int delay[4] = {0, 7, 10, 20};
    static const double delayed[4][4] = {
        {-0.12980998575266947, 0.33038728252613825, 0.6330001858716782, 0.11882158248338942},
        {0.0982490940121593, 0.17966288991725915, 0.17569984159741184, -0.09967586100556164},
        {0.07782362688866158, 0.3377582896975954, 0.5831637488063101, -0.013595717230616844},
        {-0.3688817229604192, 0.38095017888579796, 0.9082733130854312, -0.42629888080472556},
    };
    for (int c = 0; c < 4; c++) {
        static double est[2][FRAMES], times[2][200];
        vdi_score_train trial[2];
        vdi_score_spikes_result r;
        vdi_error err = {0};
        for (int i = 0; i < 2; i++) {
            const int frames = FRAMES - 37 * i;
            for (int k = 0; k < frames; k++)
                est[i][k] = estimate_at(i + c, k);
            int n = 0;
            for (int k = 1; k < 60; k++)
                times[i][n++] = (k + 0.4 * sin(3.1 * k)) * frames / fps[c] / 60;
            times[i][n++] = -0.004;
            times[i][n++] = 0.035;
            times[i][n++] = 0.0350001;
            trial[i].frames = frames;
            trial[i].fps = fps[c];
            trial[i].estimate = est[i];
            trial[i].times = times[i];
            trial[i].spikes = n;
        }
        est[0][5] = NAN;
        est[0][9] = INFINITY;
        double *work = (double *)malloc(vdi_score_spikes_work(2, trial) * sizeof *work);
        CHECK_OK(vdi_score_spikes(2, trial, work, &r, &err), err);
        const double got[9] = {r.r25,  r.r40g, r.r160g, r.auc, r.c50,
                               r.c100, r.c200, r.count, r.c25};
        for (int k = 0; k < 9; k++) {
            if (isnan(expected[c][k]))
                CHECK(isnan(got[k]), "measure %d at %g Hz: %g", k, fps[c], got[k]);
            else
                CHECK_CLOSE(got[k], expected[c][k], 1e-10);
        }
        for (int k = 0; k < 4; k++)
            CHECK_CLOSE(r.delayed[delay[k]], delayed[c][k], 1e-10);
        CHECK(r.nonfinite == 2);
        free(work);
    }
}

/* Counts whose sum wraps, and trials longer than memory: refused before a size is computed. */
TEST(score_spikes, hostile_sizes) {
    const double wraps[5] = {4611686018427387904.0, 4611686018427387904.0, 4611686018427387904.0,
                             4611686018427387904.0, 2};
    double infinite[2] = {1, INFINITY}, times[2] = {-7, -7}, work[8];
    vdi_score_train trial = {2, 1e-300, times, times, 0};
    vdi_score_spikes_result r;
    CHECK(vdi_score_spikes_times(5, 30, wraps, NULL) == -1);
    CHECK(vdi_score_spikes_times(5, 30, wraps, times) == -1);
    CHECK(vdi_score_spikes_times(2, 30, infinite, times) == -1);
    CHECK(times[0] == -7 && times[1] == -7);
    CHECK(vdi_score_spikes_work(1, &trial) == SIZE_MAX);
    CHECK(vdi_score_spikes(1, &trial, work, &r, NULL) == VDI_ERR_ARGUMENT);
    trial.fps = 1;
    trial.frames = INT64_MAX;
    CHECK(vdi_score_spikes_work(1, &trial) == SIZE_MAX);
    CHECK(vdi_score_spikes(1, &trial, work, &r, NULL) == VDI_ERR_ARGUMENT);
}

TEST(score_spikes, rules) {
    enum { FRAMES = 100 };
    double est[FRAMES], counts[FRAMES] = {0}, times[8], work[4 * 330 + 2 * 90 + 1];
    vdi_score_train trial;
    vdi_score_spikes_result r;
    vdi_error err = {0};
    counts[10] = 1;
    counts[20] = 2;
    counts[30] = NAN;
    counts[40] = -1;
    counts[50] = 3;
    trial.frames = FRAMES;
    trial.fps = 30;
    trial.estimate = est;
    trial.times = times;
    trial.spikes = vdi_score_spikes_times(FRAMES, 30, counts, NULL);
    CHECK(trial.spikes == 6);
    CHECK(vdi_score_spikes_times(FRAMES, 30, counts, times) == 6);
    CHECK_CLOSE(times[0], 10 / 30.0, 1e-12);
    CHECK_CLOSE(times[1], 19.75 / 30, 1e-12);
    CHECK_CLOSE(times[2], 20.25 / 30, 1e-12);
    CHECK(vdi_score_spikes_work(1, &trial) <= sizeof work / sizeof *work);
    for (int k = 0; k < FRAMES; k++)
        est[k] = 0.3;
    CHECK_OK(vdi_score_spikes(1, &trial, work, &r, &err), err);
    CHECK(r.r25 == 0 && r.r160g == 0 && r.c100 == 0 && r.auc == 0.5, "r25 %g auc %g", r.r25, r.auc);
    for (int k = 0; k < FRAMES; k++)
        est[k] = counts[k] > 0 ? counts[k] : 0;
    CHECK_OK(vdi_score_spikes(1, &trial, work, &r, &err), err);
    CHECK(r.r160g > 0.99 && r.auc > 0.9 && r.spikes == 6, "r160g %g auc %g", r.r160g, r.auc);
    CHECK(r.c100 > 0.99 && fabs(r.count - 1) < 0.02, "c100 %g, count %g", r.c100, r.count);
    vdi_score_spikes_result twice;
    for (int k = 0; k < FRAMES; k++)
        est[k] *= 7;
    CHECK_OK(vdi_score_spikes(1, &trial, work, &twice, &err), err);
    CHECK_CLOSE(twice.r40g, r.r40g, 1e-12);
    CHECK_CLOSE(twice.c50, r.c50, 1e-12);
    CHECK_CLOSE(twice.count, 7 * r.count, 1e-12);
    trial.spikes = 0;
    CHECK_OK(vdi_score_spikes(1, &trial, work, &r, &err), err);
    CHECK(isnan(r.r25) && isnan(r.auc) && isnan(r.c100) && isnan(r.count));
    trial.fps = 0;
    CHECK_FAILS(vdi_score_spikes(1, &trial, work, &r, &err), VDI_ERR_ARGUMENT);
    trial.fps = 30;
    trial.frames = 1;
    CHECK_FAILS(vdi_score_spikes(1, &trial, work, &r, &err), VDI_ERR_DATA);
}
