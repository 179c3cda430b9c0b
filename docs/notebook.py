"""Learn from flows what traffic looks like, and tell what new flows are.

    tcpfollow meter -w day1.csv day1.pcap            # or -o parquet -w day1.parquet
    tcpfollow meter -w day2.csv --n-dissections 0 day2.pcap
    python3 notebook.py day1.csv day2.csv            # needs pandas, scikit-learn, and pyarrow for Parquet
"""

import sys

import pandas as pd
from sklearn.ensemble import RandomForestClassifier

COLUMNS = ["src_ip", "src_port", "dst_ip", "dst_port", "protocol",
           "bidirectional_packets", "bidirectional_bytes", "application_category_name"]
FEATURES = ["bidirectional_packets", "bidirectional_bytes"]


def read(path, columns):
    if path.endswith(".parquet"):
        return pd.read_parquet(path, columns=columns)
    return pd.read_csv(path, usecols=columns)[columns]


def main(known, new):
    flows = read(known, COLUMNS)
    model = RandomForestClassifier(random_state=0)
    model.fit(flows[FEATURES], flows["application_category_name"])
    for flow in read(new, COLUMNS[:-1]).itertuples(index=False):
        category = model.predict(pd.DataFrame([[getattr(flow, f) for f in FEATURES]], columns=FEATURES))[0]
        print(flow.src_ip, flow.src_port, flow.dst_ip, flow.dst_port, category)


main(*sys.argv[1:3])
