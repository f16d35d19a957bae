import com.datastax.driver.core.Cluster;
import com.datastax.driver.core.HostDistance;
import com.datastax.driver.core.PoolingOptions;
import com.datastax.driver.core.SocketOptions;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.flink.api.common.restartstrategy.RestartStrategies;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple;
import org.apache.flink.api.java.tuple.Tuple4;
import org.apache.flink.api.java.tuple.Tuple5;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.runtime.state.hashmap.HashMapStateBackend;
import org.apache.flink.runtime.state.storage.FileSystemCheckpointStorage;
import org.apache.flink.runtime.state.storage.JobManagerCheckpointStorage;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.datastream.DataStreamSource;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.source.RichSourceFunction;
import org.apache.flink.streaming.connectors.cassandra.CassandraCommitter;
import org.apache.flink.streaming.connectors.cassandra.CassandraSink;
import org.apache.flink.streaming.connectors.cassandra.CassandraTupleWriteAheadSink;
import org.apache.flink.streaming.connectors.cassandra.ClusterBuilder;

/**
 * Flink's Cassandra sinks, on the rows of benchmarks/rows.ts, in one JVM (Flink's own MiniCluster).
 *
 * <p>Arguments are name=value: mode (wal or plain), storage (files or heap), directory, host, port, table, ledger, shape,
 * payload, rows, interval (milliseconds), and for the restart failAt (rows) and rate (rows a second).
 *
 * <p>Two traps are avoided for Flink. The driver's pool is enlarged: with the default one a send fails when it is about
 * 1,280 records ahead of Cassandra, and a later checkpoint then hides the loss. And the source stays alive until all is
 * committed: a bounded job would otherwise end as FINISHED with rows missing.
 */
public final class FlinkBench {
    private static final int ROWS_IN_PARTITION = 100;
    private static final int PARTITIONS_AT_ONCE = 50;
    private static final int TEXT_LENGTH = 64 * 1024;

    /** Everything runs in this JVM, so the functions and the operators tell each other by these. */
    private static final AtomicLong emitted = new AtomicLong();

    private static final ConcurrentHashMap<String, Long> rowsSent = new ConcurrentHashMap<>();
    private static final ConcurrentHashMap<Integer, Long> committedUpTo = new ConcurrentHashMap<>();
    private static final AtomicLong opens = new AtomicLong();
    private static volatile long committed;
    private static volatile long firstEmitNanos;
    private static volatile long firstSendNanos;
    private static volatile long lastCommitNanos;
    private static volatile long failedNanos;
    private static volatile long opensAtFailure;
    private static volatile long firstCommitAfterNanos;
    private static volatile String sendFailure;

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (String arg : args) {
            int at = arg.indexOf('=');
            options.put(arg.substring(0, at), arg.substring(at + 1));
        }
        boolean shared = options.get("shape").equals("shared");
        boolean wal = options.get("mode").equals("wal");
        long rows = Long.parseLong(options.get("rows"));
        ClusterBuilder cluster = new Contact(options.get("host"), Integer.parseInt(options.get("port")));
        String columns = shared ? "id, pos, kind, value, payload" : "id, kind, value, payload";
        String query =
                "INSERT INTO " + options.get("table") + " (" + columns + ") VALUES (" + (shared ? "?, " : "") + "?, ?, ?, ?)";

        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
        env.enableCheckpointing(Long.parseLong(options.get("interval")));
        env.setRestartStrategy(
                options.containsKey("failAt")
                        ? RestartStrategies.fixedDelayRestart(3, 0L)
                        : RestartStrategies.noRestart());
        env.setStateBackend(new HashMapStateBackend());
        env.getCheckpointConfig()
                .setCheckpointStorage(
                        options.get("storage").equals("files")
                                ? new FileSystemCheckpointStorage("file://" + options.get("directory"))
                                : new JobManagerCheckpointStorage(Integer.MAX_VALUE - 1024));

        @SuppressWarnings({"unchecked", "rawtypes"})
        TypeInformation<Tuple> type =
                (TypeInformation)
                        (shared
                                ? Types.TUPLE(Types.LONG, Types.INT, Types.INT, Types.DOUBLE, Types.STRING)
                                : Types.TUPLE(Types.LONG, Types.INT, Types.DOUBLE, Types.STRING));
        Rows source =
                new Rows(
                        shared,
                        Integer.parseInt(options.get("payload")),
                        rows,
                        wal,
                        Long.parseLong(options.getOrDefault("failAt", "-1")),
                        Long.parseLong(options.getOrDefault("rate", "0")));
        DataStreamSource<Tuple> stream = env.addSource(source, "rows", type);
        if (wal) {
            stream.transform(
                    "sink",
                    type,
                    new CountingSink(
                            query,
                            type.createSerializer(env.getConfig()),
                            cluster,
                            new TimingCommitter(cluster, options.get("ledger"))));
        } else {
            CassandraSink.addSink(stream)
                    .setQuery(query)
                    .setClusterBuilder(cluster)
                    .setMaxConcurrentRequests(512)
                    .build();
        }

        Thread sampler = new Thread(FlinkBench::sample);
        sampler.setDaemon(true);
        sampler.start();
        env.execute("bench");
        if (!wal) {
            committed = emitted.get();
            firstSendNanos = firstEmitNanos;
            lastCommitNanos = System.nanoTime();
        }
        if (sendFailure != null) throw new IllegalStateException(sendFailure);
        long gcMillis = 0;
        for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans()) {
            gcMillis += Math.max(0, bean.getCollectionTime());
        }
        System.out.println(
                "@bench {\"result\":{\"committed\":" + committed
                        + ",\"steadySeconds\":" + (lastCommitNanos - firstSendNanos) / 1e9
                        + ",\"runSeconds\":" + (lastCommitNanos - firstEmitNanos) / 1e9
                        + (failedNanos == 0
                                ? ""
                                : ",\"restartSeconds\":" + (firstCommitAfterNanos - failedNanos) / 1e9)
                        + ",\"gcSeconds\":" + gcMillis / 1e3
                        + ",\"cpuSeconds\":" + cpuSeconds()
                        + ",\"peakRssBytes\":" + peakRssBytes()
                        + "}}");
        System.out.flush();
        System.exit(0);
    }

    private static void sample() {
        try {
            while (true) {
                Thread.sleep(200);
                System.out.println(
                        "@bench {\"read\":" + emitted.get() + ",\"committed\":" + committed + "}");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static double cpuSeconds() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime()
                / 1e9;
    }

    private static long peakRssBytes() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("VmHWM:")) return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
            }
        } catch (Exception e) {
            // Not a Linux: the number is left out by whoever reads 0.
        }
        return 0;
    }

    /** The rows of benchmarks/rows.ts. */
    private static final class Rows extends RichSourceFunction<Tuple> implements CheckpointedFunction {
        private final boolean shared;
        private final int payload;
        private final long rows;
        private final boolean staysAlive;
        private final long failAt;
        private final long rate;
        private transient ListState<Long> state;
        private long next;
        private volatile boolean running = true;

        Rows(boolean shared, int payload, long rows, boolean staysAlive, long failAt, long rate) {
            this.shared = shared;
            this.payload = payload;
            this.rows = rows;
            this.staysAlive = staysAlive;
            this.failAt = failAt;
            this.rate = rate;
        }

        private static String text() {
            String alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
            StringBuilder text = new StringBuilder(TEXT_LENGTH);
            int random = 42;
            for (int i = 0; i < TEXT_LENGTH; i++) {
                random = (random * 1_103_515_245 + 12_345) & 0x7fff_ffff;
                text.append(alphabet.charAt((random >>> 16) & 63));
            }
            return text.toString();
        }

        private Tuple row(String text, long i) {
            int from = (int) ((i * 7919) % (TEXT_LENGTH - payload));
            String value = text.substring(from, from + payload);
            if (!shared) return new Tuple4<>(i, (int) (i % 1000), i / 2.0, value);
            int inBlock = (int) (i % (PARTITIONS_AT_ONCE * ROWS_IN_PARTITION));
            return new Tuple5<>(
                    (i - inBlock) / ROWS_IN_PARTITION + inBlock % PARTITIONS_AT_ONCE,
                    inBlock / PARTITIONS_AT_ONCE,
                    (int) (i % 1000),
                    i / 2.0,
                    value);
        }

        @Override
        public void run(SourceContext<Tuple> context) throws Exception {
            String text = text();
            if (firstEmitNanos == 0) firstEmitNanos = System.nanoTime();
            long startedAt = System.nanoTime();
            long first = next;
            while (running && next < rows) {
                if (rate > 0) {
                    long due = startedAt + (next - first) * 1_000_000_000L / rate;
                    long wait = due - System.nanoTime();
                    if (wait > 1_000_000) Thread.sleep(wait / 1_000_000);
                }
                if (failAt >= 0 && failedNanos == 0 && next >= failAt && committed > 0) {
                    opensAtFailure = opens.get();
                    failedNanos = System.nanoTime();
                    throw new IllegalStateException("the failure that the benchmark wants");
                }
                synchronized (context.getCheckpointLock()) {
                    context.collect(row(text, next));
                    next++;
                }
                emitted.set(next);
            }
            while (running && staysAlive && committed < rows && sendFailure == null) Thread.sleep(2);
        }

        @Override
        public void cancel() {
            running = false;
        }

        @Override
        public void initializeState(FunctionInitializationContext context) throws Exception {
            state = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("next", Types.LONG));
            for (Long value : state.get()) next = value;
        }

        @Override
        public void snapshotState(FunctionSnapshotContext context) throws Exception {
            state.clear();
            state.add(next);
        }
    }

    private static final class Contact extends ClusterBuilder {
        private final String host;
        private final int port;

        Contact(String host, int port) {
            this.host = host;
            this.port = port;
        }

        @Override
        protected Cluster buildCluster(Cluster.Builder builder) {
            return builder.addContactPointsWithPorts(new InetSocketAddress(host, port))
                    .withPoolingOptions(
                            new PoolingOptions()
                                    .setMaxRequestsPerConnection(HostDistance.LOCAL, 8192)
                                    .setMaxQueueSize(Integer.MAX_VALUE)
                                    .setPoolTimeoutMillis(600_000))
                    .withSocketOptions(new SocketOptions().setReadTimeoutMillis(600_000))
                    .withoutMetrics()
                    .build();
        }
    }

    /** Flink's own write-ahead sink, which also counts the rows of each send. */
    private static final class CountingSink extends CassandraTupleWriteAheadSink<Tuple> {
        CountingSink(
                String query,
                org.apache.flink.api.common.typeutils.TypeSerializer<Tuple> serializer,
                ClusterBuilder cluster,
                CassandraCommitter committer)
                throws Exception {
            super(query, serializer, cluster, committer);
        }

        @Override
        protected boolean sendValues(Iterable<Tuple> values, long checkpointId, long timestamp) throws Exception {
            if (firstSendNanos == 0) firstSendNanos = System.nanoTime();
            long[] count = new long[1];
            Iterator<Tuple> inner = values.iterator();
            Iterable<Tuple> counted =
                    () ->
                            new Iterator<>() {
                                @Override
                                public boolean hasNext() {
                                    return inner.hasNext();
                                }

                                @Override
                                public Tuple next() {
                                    count[0]++;
                                    return inner.next();
                                }
                            };
            boolean sent = super.sendValues(counted, checkpointId, timestamp);
            if (sent) rowsSent.put(getRuntimeContext().getIndexOfThisSubtask() + ":" + checkpointId, count[0]);
            else sendFailure = "Flink did not send all rows of checkpoint " + checkpointId;
            return sent;
        }
    }

    private static final class TimingCommitter extends CassandraCommitter {
        TimingCommitter(ClusterBuilder cluster, String keyspace) {
            super(cluster, keyspace);
        }

        @Override
        public void open() throws Exception {
            super.open();
            opens.incrementAndGet();
        }

        @Override
        public void commitCheckpoint(int subtask, long checkpointId) {
            super.commitCheckpoint(subtask, checkpointId);
            lastCommitNanos = System.nanoTime();
            committedUpTo.merge(subtask, checkpointId, Math::max);
            long sum = 0;
            for (Map.Entry<String, Long> entry : rowsSent.entrySet()) {
                String[] key = entry.getKey().split(":");
                if (Long.parseLong(key[1]) <= committedUpTo.getOrDefault(Integer.parseInt(key[0]), -1L)) sum += entry.getValue();
            }
            if (failedNanos != 0 && firstCommitAfterNanos == 0 && opens.get() > opensAtFailure) {
                firstCommitAfterNanos = lastCommitNanos;
            }
            committed = sum;
        }
    }

    private FlinkBench() {}
}
