"""The article's program as a file of its time: it imports tensorflow, and nothing in it knows of bnstudy."""

import sys

import numpy as np
import tensorflow as tf
from init_cnn import avg_pool_4x4, bias_variable, conv2d, max_pool_2x2, weight_variable
from tensorflow.contrib.layers.python.layers import batch_norm


def batch_norm_layer(value, train=None, name="batch_norm"):
    if train is not False:
        return batch_norm(value, decay=0.9, updates_collections=None, is_training=True)
    else:
        return batch_norm(value, decay=0.9, updates_collections=None, is_training=False)


x = tf.placeholder(tf.float32, [None, 32, 32, 3])
y = tf.placeholder(tf.float32, [None, 10])
train = tf.Variable(tf.constant(False), trainable=False)

x_image = tf.reshape(x, [-1, 32, 32, 3])

W_conv1 = weight_variable([3, 3, 3, 64])
b_conv1 = bias_variable([64])
h_conv1 = tf.nn.relu(batch_norm_layer((conv2d(x_image, W_conv1) + b_conv1), train))
h_pool1 = max_pool_2x2(h_conv1)

W_conv2 = weight_variable([3, 3, 64, 64])
b_conv2 = bias_variable([64])
h_conv2 = tf.nn.relu(batch_norm_layer((conv2d(h_pool1, W_conv2) + b_conv2), train))
h_pool2 = max_pool_2x2(h_conv2)

W_conv3 = weight_variable([3, 3, 64, 32])
b_conv3 = bias_variable([32])
h_conv3 = tf.nn.relu(batch_norm_layer((conv2d(h_pool2, W_conv3) + b_conv3), train))
h_pool3 = max_pool_2x2(h_conv3)

W_conv4 = weight_variable([3, 3, 32, 16])
b_conv4 = bias_variable([16])
h_conv4 = tf.nn.relu(batch_norm_layer((conv2d(h_pool3, W_conv4) + b_conv4), train))
h_pool4 = max_pool_2x2(h_conv4)

W_conv5 = weight_variable([3, 3, 16, 10])
b_conv5 = bias_variable([10])
h_conv5 = tf.nn.relu(batch_norm_layer((conv2d(h_pool4, W_conv5) + b_conv5), train))

nt_hpool5 = avg_pool_4x4(h_conv5)
nt_hpool5_flat = tf.reshape(nt_hpool5, [-1, 10])
y_conv = tf.nn.softmax(nt_hpool5_flat)

cross_entropy = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=nt_hpool5_flat))
train_step = tf.train.AdamOptimizer(1e-3).minimize(cross_entropy)
correct_prediction = tf.equal(tf.argmax(y_conv, 1), tf.argmax(y, 1))
accuracy = tf.reduce_mean(tf.cast(correct_prediction, "float"))
saver = tf.train.Saver()

rng = np.random.RandomState(0)
images = rng.rand(8, 32, 32, 3).astype(np.float32)
labels = np.eye(10, dtype=np.float32)[rng.randint(0, 10, 8)]

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    sess.run(train.assign(True))
    for _ in range(int(sys.argv[1])):
        sess.run(train_step, feed_dict={x: images, y: labels})
    sess.run(train.assign(False))
    print("test accuracy %g" % accuracy.eval(feed_dict={x: images, y: labels}))
    print("one image:", sess.run(nt_hpool5_flat, feed_dict={x: images[:1]}).tolist())
    if len(sys.argv) > 2:
        saver.save(sess, sys.argv[2])
