# Meters captures with NFStream: nfstream.py OUT N_DISSECTIONS STATISTICS SPLT MODES CAPTURE...
# It writes OUT/<number of the capture>.<mode>.csv, and says on standard output why a capture was left out.
import sys

from nfstream import NFStreamer


def main():
    out, dissections, statistics, splt, modes = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1", int(sys.argv[4]), sys.argv[5]
    for i, path in enumerate(sys.argv[6:]):
        for mode in modes:
            try:
                NFStreamer(
                    source=path, n_dissections=dissections, n_meters=1, statistical_analysis=statistics, splt_analysis=splt,
                    accounting_mode=int(mode),
                ).to_csv(f"{out}/{i}.{mode}.csv")
            except Exception as error:
                print(f"{i}.{mode}: {error}", flush=True)


if __name__ == "__main__":
    main()
